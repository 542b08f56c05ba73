"""`manage.py up` with real PostgreSQL, real Valkey and stand-ins for the service's own processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.workers.supervisor.accounts import ACCOUNTS, make_owned_folder
from tests.workers.supervisor.running import RunningUp, await_end, processes_with
from workers.supervisor.launch import Account
from workers.supervisor.preflight import LOCK_FILE


@dataclass(frozen=True, slots=True)
class FirstStart:
    """A whole life: started on an empty folder, greeted, interrupted, ended."""

    up: RunningUp
    sockets: Path
    exit_status: int


def live_once(data_dir: Path, account: Account | None) -> FirstStart:
    with RunningUp(data_dir, account=account) as up:
        up.await_ready()
        sockets = runtime_folder(up)
        up.process.send_signal(signal.SIGINT)
        return FirstStart(up=up, sockets=sockets, exit_status=up.finish())


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> FirstStart:
    return live_once(tmp_path_factory.mktemp("first") / "var", None)


@pytest.fixture
def prepared(first_start: FirstStart, tmp_path: Path) -> Path:
    """A copy of a data folder that has been started before: the next start takes a second less."""
    subprocess.run(["cp", "-a", first_start.up.data_dir, tmp_path / "var"], check=True)
    return tmp_path / "var"


@pytest.fixture(scope="module")
def started(first_start: FirstStart, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    """A second start that many tests look at; none of them stops it."""
    folder = tmp_path_factory.mktemp("up")
    subprocess.run(["cp", "-a", first_start.up.data_dir, folder], check=True)
    # The banner does not wait for those that fail.
    with RunningUp(folder / "var", "handlers=fails-at-once", READY_SECONDS="5") as up:
        yield up.await_ready()


def read_connections(data_dir: Path) -> dict[str, str]:
    return dict(json.loads((data_dir / "connections.json").read_text()))


def logins(data_dir: Path) -> list[str]:
    """User, password and database of each stored address, without the socket folder that each start makes anew."""
    return [url.split("?")[0] for url in read_connections(data_dir).values() if url.startswith("postgresql")]


def runtime_folder(up: RunningUp) -> Path:
    return Path((up.data_dir / LOCK_FILE).read_text().splitlines()[1])


def database_processes(data_dir: Path) -> list[int]:
    """The server, by its arguments, and its own children, by the cluster's name in their titles."""
    server = int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
    name = re.search(rb"cluster_name=([\w-]+)", Path(f"/proc/{server}/cmdline").read_bytes())
    assert name is not None
    return processes_with(name[1].decode())


def test_first_start_shows_the_key_once_and_keeps_it_private(first_start: FirstStart) -> None:
    up = first_start.up
    path = up.data_dir / "demo-api-key"
    key = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"  API key    {key}" in up.lines
    curl = next(line for line in up.lines if "curl -sS" in line)
    assert f'http://127.0.0.1:{up.port}/v1/jobs -H "Authorization: Bearer {key}"' in curl
    assert len([line for line in up.lines if key in line]) == 2
    link = up.data_dir / "demo-console-link"
    assert stat.S_IMODE(link.stat().st_mode) == 0o600
    assert f"  Console    {link.read_text().strip()}" in up.lines


def test_later_starts_show_no_key_and_keep_every_password(first_start: FirstStart, started: RunningUp) -> None:
    assert not [line for line in started.lines if "curl" in line or "new passwords" in line]
    assert f"  API key    of tenant demo, in {started.data_dir / 'demo-api-key'}" in started.lines
    # Until somebody has chosen a password by it, which a stand-in never sees.
    assert f"  Console    {(started.data_dir / 'demo-console-link').read_text().strip()}" in started.lines
    assert logins(started.data_dir) == logins(first_start.up.data_dir)


def assert_stopped_in_order(life: FirstStart) -> None:
    ends = [line for line in life.up.lines if re.search("got TERM|Received SIGTERM|system is shut down", line)]
    assert [line.split()[0] for line in ends] == ["web", "dispatcher", "egress", "valkey", "postgres"]
    assert life.exit_status == 0
    assert not life.sockets.exists()


def test_an_interrupt_stops_everything_in_order(first_start: FirstStart) -> None:
    assert_stopped_in_order(first_start)


@pytest.mark.parametrize("account", [account for account in ACCOUNTS.values() if account])
def test_a_plain_user_can_do_the_same_in_a_folder_of_its_own(tmp_path: Path, account: Account) -> None:
    life = live_once(make_owned_folder(tmp_path / "closed", account), account)
    assert_stopped_in_order(life)
    assert (tmp_path / "closed" / "demo-api-key").stat().st_uid == account.uid


def test_the_web_answers_when_the_banner_is_there(started: RunningUp) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{started.port}/readyz") as answer:
        assert answer.status == 200


def test_every_role_logs_in_with_its_stored_address_and_no_role_is_a_superuser(started: RunningUp) -> None:
    assert stat.S_IMODE((started.data_dir / "connections.json").stat().st_mode) == 0o600
    urls = read_connections(started.data_dir)
    assert set(urls) == {"owner", "web", "worker", "dispatcher", "broker"}
    query = "SELECT current_user, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    for role in ("owner", "web", "worker", "dispatcher"):
        with psycopg.connect(urls[role]) as connection:
            assert connection.execute(query).fetchone() == (f"jobservice_{role}", False)


def test_sockets_are_in_folders_that_only_their_user_can_open(started: RunningUp) -> None:
    folder = runtime_folder(started)
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("pg", "mq")} == {0o700}
    assert stat.S_IMODE(folder.stat().st_mode) & 0o066 == 0


def test_programs_get_their_role_and_no_open_files(started: RunningUp) -> None:
    assert started.await_line(r"\| dispatcher pids .* role dispatcher owner none files \[0, 1, 2\]$")


def test_a_second_up_on_the_same_folder_is_refused(started: RunningUp) -> None:
    with RunningUp(started.data_dir) as second:
        assert second.finish() == 2
    [sentence] = second.lines
    assert sentence.startswith(f"JOBSERVICE_DATA_DIR: {started.data_dir} is in use by another `manage.py up`")
    assert sentence.endswith(f"(process {started.process.pid}); stop that one, or name another folder.")


def test_a_killed_program_is_back_at_once_and_its_own_children_are_gone(started: RunningUp) -> None:
    leader, grandchild = started.pids_of("dispatcher")
    seen = len(started.lines)
    os.kill(leader, signal.SIGKILL)
    started.await_line(r"dispatcher ended \(SIGKILL\); it starts again now", since=seen)
    started.await_line(r"\| dispatcher pids", since=seen)
    assert started.pids_of("dispatcher")[0] != leader
    assert await_end([leader, grandchild]) == []


def test_a_killed_postgres_comes_back_while_the_programs_live_on(started: RunningUp) -> None:
    before, seen = started.pids_of("egress"), len(started.lines)
    os.kill(int((started.data_dir / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    started.await_line(r"postgres ended \(SIGKILL\); it starts again now", since=seen)
    started.await_line("database system is ready to accept connections", since=seen)
    with psycopg.connect(read_connections(started.data_dir)["web"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert started.pids_of("egress") == before


def test_a_program_that_ends_at_once_waits_longer_each_time(started: RunningUp) -> None:
    for wait in ("now", "in 1 s", "in 2 s"):
        started.await_line(rf"handlers ended \(exit status 3\); it starts again {wait}$")


def test_given_addresses_start_neither_postgres_nor_valkey(prepared: Path, tmp_path: Path) -> None:
    # A server of its own: the dispatcher's password is renewed on it.
    with RunningUp(prepared) as served:
        urls = read_connections(served.await_ready().data_dir)
        with RunningUp(
            tmp_path / "elsewhere",
            DATABASE_URL=urls["owner"],
            BROKER_URL=urls["broker"],
            JOBSERVICE_WEB_DATABASE_URL=urls["web"],
            JOBSERVICE_WORKER_DATABASE_URL=urls["worker"],
        ) as up:
            up.await_ready()
            assert not [line for line in up.lines if line.startswith(("postgres", "valkey"))]
            assert set(read_connections(up.data_dir)) == {"dispatcher"}
            assert up.await_line(r"\| dispatcher pids .* role dispatcher owner none")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(urls["dispatcher"])


def test_a_second_interrupt_kills_a_program_that_does_not_stop(prepared: Path) -> None:
    with RunningUp(prepared, "egress=stubborn") as up:
        up.await_ready()
        os.kill(up.process.pid, signal.SIGTERM)
        up.await_line("dispatcher got TERM")
        # The first of these may count as an echo of the same key press; one comes later.
        while up.process.poll() is None:
            os.kill(up.process.pid, signal.SIGINT)
            try:
                up.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        assert up.finish() == 1
    assert await_end(up.pids_of("egress")) == []


def kill_and_collect(up: RunningUp) -> list[int]:
    """Kill the supervisor. Returns every process that it had started."""
    everything = processes_with(str(runtime_folder(up))) + database_processes(up.data_dir)
    for name in ("dispatcher", "egress"):
        if re.search(f"{name} pids", "\n".join(up.lines)):
            everything += up.pids_of(name)
    assert len(set(everything)) > 3
    up.process.kill()
    up.process.wait()
    return everything


def test_nothing_survives_a_killed_supervisor_and_the_next_start_works(prepared: Path) -> None:
    with RunningUp(prepared) as up:
        up.await_ready()
        sockets = runtime_folder(up)
        everything = kill_and_collect(up)
        # At once: this start waits for the guard, so it finds the port free and the folder unused.
        with RunningUp(prepared, PORT=str(up.port)) as again:
            again.await_line("jobservice is ready")
            assert await_end(everything) == []
            assert not sockets.exists()


def test_nothing_survives_a_supervisor_killed_in_the_middle_of_its_start(prepared: Path) -> None:
    with RunningUp(prepared) as up:
        up.await_line("database system is ready")
        sockets = runtime_folder(up)
        assert await_end(kill_and_collect(up)) == []
        assert not sockets.exists()


@pytest.mark.parametrize(
    ("status", "last_line"),
    [("1", "`manage.py prepare` failed; its lines above say why."), ("2", "the root key is another one")],
)
def test_a_failing_command_of_the_start_stops_everything_again(prepared: Path, status: str, last_line: str) -> None:
    with RunningUp(prepared, REFUSE_KEYS=status) as up:
        assert up.finish() == 2
    assert "prepare    | the root key is another one" in up.lines
    assert up.lines[-1] == last_line
    assert processes_with(str(prepared)) == []


def test_a_program_that_refuses_the_start_ends_it_with_its_sentence(prepared: Path) -> None:
    with RunningUp(prepared, "handlers=refuses") as up:
        assert up.finish() == 2
    assert not [line for line in up.lines if "starts again" in line]
    assert up.lines[-1] == "JOBSERVICE_HANDLERS: the module nope.mod cannot be imported."
    assert processes_with(str(prepared)) == []


def banner_of(up: RunningUp) -> list[str]:
    up.await_line("Stop  ")
    first = next(at for at, line in enumerate(up.lines) if line.startswith("jobservice is ready at"))
    return up.lines[first:]


def test_the_banner_waits_for_the_workers_to_be_ready(prepared: Path) -> None:
    with RunningUp(prepared, "handlers=slow") as up:
        banner = banner_of(up)
        assert "handlers   | handlers is slowly ready" in up.lines[: -len(banner)]
        assert not [line for line in banner if "Missing" in line]


def test_the_banner_names_who_was_not_ready_in_time(prepared: Path) -> None:
    with RunningUp(prepared, "handlers=never-ready", READY_SECONDS="5") as up:
        [missing] = [line for line in banner_of(up) if "Missing" in line]
        assert missing.startswith("  Missing    handlers: not ready yet")


def test_a_program_that_refuses_after_the_start_is_started_again(prepared: Path) -> None:
    with RunningUp(prepared, "handlers=refuses-later") as up:
        up.await_ready()
        (prepared / "greeted").touch()
        up.await_line(r"handlers ended \(exit status 2\); it starts again now$")


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with RunningUp(tmp_path / "var", PORT=str(port)) as up:
            assert up.finish() == 2
    assert up.lines == [f"PORT {port} is taken by another program; stop it or run PORT={port + 1} make run."]


@pytest.mark.parametrize("account", [account for account in ACCOUNTS.values() if account or os.geteuid() != 0])
def test_a_folder_closed_to_this_user_is_named(tmp_path: Path, account: Account | None) -> None:
    with RunningUp(make_owned_folder(tmp_path / "closed", None, mode=0o500), account=account) as up:
        assert up.finish() == 2
    assert re.fullmatch(
        rf"JOBSERVICE_DATA_DIR: {tmp_path}/closed cannot be used by user \d+ \(Permission denied\); "
        "run as the user that owns it, or name another folder.",
        "\n".join(up.lines),
    )


def test_the_fill_of_a_first_start_runs_beside_everything_and_is_not_started_again(tmp_path: Path) -> None:
    with RunningUp(tmp_path / "var", JOBSERVICE_DEMO="on") as up:
        up.await_ready()
        pid = int(up.await_line(r"fill_demo +\| fill pid (\d+)")[1])
        assert (up.data_dir / "demo-fill").exists()
        os.kill(pid, signal.SIGKILL)
        assert await_end([pid]) == []
        # Whoever is killed after it is started again, and it still is not.
        killed = up.pids_of("egress")[0]
        seen = len(up.lines)
        os.kill(killed, signal.SIGKILL)
        up.await_line("egress pids", since=seen)
        assert not [line for line in up.lines[seen:] if line.startswith("fill_demo")]
    with RunningUp(up.data_dir, JOBSERVICE_DEMO="on") as up:
        pid = int(up.await_line(r"fill_demo +\| fill pid (\d+)")[1])
        up.process.send_signal(signal.SIGINT)
        assert up.finish() == 0
        assert await_end([pid]) == []
    with RunningUp(up.data_dir, JOBSERVICE_DEMO="off") as up:
        up.await_ready()
        up.process.send_signal(signal.SIGINT)
        assert up.finish() == 0
        assert not [line for line in up.lines if line.startswith("fill_demo")]
        assert not (up.data_dir / "demo-fill").exists()
