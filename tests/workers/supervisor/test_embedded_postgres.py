"""The PostgreSQL of the wheel: as root and as a plain user, under closed folders, after crashes."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from jobservice.env import ConfigurationError
from tests.workers.supervisor.accounts import ACCOUNTS, make_owned_folder
from tests.workers.supervisor.running import SITE, clean_environment
from workers.supervisor import postgres_binaries
from workers.supervisor.embedded_postgres import EmbeddedPostgres
from workers.supervisor.folders import make_runtime_folder, remove_runtime_folder
from workers.supervisor.launch import Account, choose_account, wrap_command


@pytest.mark.parametrize("account", ACCOUNTS.values(), ids=ACCOUNTS)
def test_a_cluster_runs_under_a_closed_folder_with_scram_and_without_tcp(
    tmp_path: Path, account: Account | None
) -> None:
    closed = make_owned_folder(tmp_path / "closed", account)
    answer = subprocess.run(
        wrap_command([sys.executable, str(SITE / "throwaway.py")], death_signal=signal.SIGKILL, account=account),
        env=clean_environment(TMPDIR=str(closed)),
        capture_output=True,
        text=True,
        check=True,
    )
    facts = json.loads(answer.stdout)
    assert facts["locale"] == ["UTF8", "b", "C.UTF-8", ""]
    assert "password authentication failed" in facts["refusal"]
    assert facts["modes"] == ["0o700", "0o700"]
    expected = facts["own_uid"] or pwd.getpwnam("nobody").pw_uid
    assert facts["backend_uid"] == expected
    assert facts["left"] == []


def test_a_pid_file_left_by_a_killed_server_does_not_stop_the_next(tmp_path: Path) -> None:
    runtime = make_runtime_folder()
    postgres = EmbeddedPostgres(tmp_path, runtime / "pg", durable=False)
    try:
        postgres.init()
        postgres.start()
        postgres.wait_ready()
        pid_file = postgres.cluster_dir / "postmaster.pid"
        first = pid_file.read_text()
        os.kill(int(first.split()[0]), signal.SIGKILL)
        # The number belongs to somebody else by now: PostgreSQL alone would take that for a running server.
        pid_file.write_text(first.replace(first.split()[0], str(os.getppid()), 1))
        postgres.start()
        postgres.wait_ready()
        with psycopg.connect(postgres.superuser_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        postgres.stop()
        remove_runtime_folder(runtime)


def cluster_of(tmp_path: Path, *, version: str) -> EmbeddedPostgres:
    """What the folder of a cluster looks like from outside, without the second that `initdb` takes."""
    postgres = EmbeddedPostgres(tmp_path, tmp_path / "pg")
    postgres.cluster_dir.mkdir()
    (postgres.cluster_dir / "PG_VERSION").write_text(f"{version}\n")
    if postgres.account:
        os.chown(postgres.cluster_dir, postgres.account.uid, postgres.account.gid)
    return postgres


def test_a_folder_of_another_major_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="postgres was made by PostgreSQL 15 and the installed one is"):
        cluster_of(tmp_path, version="15").init()


def test_a_folder_of_another_user_is_refused_with_the_way_out(tmp_path: Path) -> None:
    postgres = cluster_of(tmp_path, version="18")
    own = pwd.getpwuid(postgres.cluster_dir.stat().st_uid).pw_name
    postgres.account = Account(uid=os.geteuid() + 1, gid=0)
    with pytest.raises(ConfigurationError) as refused:
        postgres.init()
    assert f"belongs to user {own} and PostgreSQL would run as" in str(refused.value)
    assert "again, or name another folder" in str(refused.value)


def test_programs_that_cannot_run_where_they_are_run_from_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages" / postgres_binaries.PROGRAMS
    installed.mkdir(parents=True)
    for program in ("initdb", "postgres"):
        (installed / program).write_text("#!/bin/sh\necho 18\n")
        (installed / program).chmod(0o600)
    monkeypatch.setattr(postgres_binaries, "_locate_package", lambda: (tmp_path / "site-packages", "18.6"))
    found = postgres_binaries.find_programs(tmp_path / "var", account=choose_account())
    assert found.is_relative_to(tmp_path / "var")
    assert subprocess.check_output([found / "postgres"]) == b"18\n"
    assert (installed / "postgres").stat().st_mode & 0o777 == 0o600


def test_programs_that_run_nowhere_name_the_variable_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "_locate_package", lambda: (tmp_path, "18.6"))
    with pytest.raises(ConfigurationError, match="set DATABASE_URL to a PostgreSQL server of your own"):
        postgres_binaries.find_programs(tmp_path / "var", account=choose_account())


# Without the capability the account stands outside a closed folder; only root changes users at all.
@pytest.mark.parametrize(
    "account", [replace(account, reads_everywhere=False) for account in ACCOUNTS.values() if account]
)
def test_a_data_folder_that_the_servers_user_cannot_enter_is_named(tmp_path: Path, account: Account) -> None:
    postgres = EmbeddedPostgres(make_owned_folder(tmp_path / "closed", None), tmp_path / "pg")
    postgres.account = account
    with pytest.raises(ConfigurationError, match=f"which cannot enter {postgres.data_dir}; name a folder"):
        postgres.init()
