"""`manage.py prepare`: one command makes a database fit for a start, and does no harm when repeated."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.workers.prepared import PreparedDatabase, new_database

pytestmark = pytest.mark.deep


@pytest.fixture
def database(tmp_path: Path) -> Iterator[PreparedDatabase]:
    with new_database(tmp_path) as database:
        yield database


def test_an_empty_database_gets_its_schema_keys_logins_and_first_tenant_once(database: PreparedDatabase) -> None:
    first = database.command("prepare")
    assert first.returncode == 0, first.stderr
    assert "new passwords for" in first.stdout
    for role in ("web", "worker", "dispatcher"):
        with psycopg.connect(database.urls[role]) as connection:
            assert connection.info.user.endswith(f"_{role}")
    key_file = database.data_dir / "demo-api-key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    key = key_file.read_text().strip()
    assert key.startswith("js_live_")
    assert key not in first.stdout + first.stderr
    urls = database.urls

    again = database.command("prepare")
    assert again.returncode == 0, again.stderr
    assert "No migrations to apply" in again.stdout
    assert "new passwords" not in again.stdout
    assert (database.urls, key_file.read_text().strip()) == (urls, key)


def test_a_key_that_cannot_be_kept_leaves_no_tenant(database: PreparedDatabase) -> None:
    (database.data_dir / "demo-api-key").mkdir()
    assert database.command("prepare").returncode != 0
    with psycopg.connect(database.owner_url) as connection:
        assert connection.execute("SELECT count(*) FROM tenant").fetchone() == (0,)
    (database.data_dir / "demo-api-key").rmdir()
    assert database.command("prepare").returncode == 0
    assert (database.data_dir / "demo-api-key").is_file()


def test_a_database_with_any_tenant_gets_no_other(database: PreparedDatabase) -> None:
    assert database.command("prepare").returncode == 0
    (database.data_dir / "demo-api-key").unlink()
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        # The policy of the table's owner lets the operator's commands reach every tenant.
        assert connection.execute("UPDATE tenant SET name = 'acme'").rowcount == 1
    assert database.command("prepare").returncode == 0
    assert not (database.data_dir / "demo-api-key").exists()
    with psycopg.connect(database.owner_url) as connection:
        assert connection.execute("SELECT name FROM tenant").fetchall() == [("acme",)]


def test_another_root_key_is_refused_with_a_sentence(database: PreparedDatabase, tmp_path: Path) -> None:
    assert database.command("prepare").returncode == 0
    refused = database.command("prepare", JOBSERVICE_ROOT_KEY_FILE=str(tmp_path / "other.key"))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "is missing" in refused.stderr


def test_a_database_that_is_away_is_a_sentence(database: PreparedDatabase) -> None:
    refused = database.command("prepare", DATABASE_URL="postgresql://u:secret@127.0.0.1:1/none")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "secret" not in refused.stderr


def test_the_owners_link_stays_good_until_they_are_in(database: PreparedDatabase) -> None:
    assert database.command("prepare").returncode == 0
    path = database.data_dir / "demo-console-link"
    assert not (database.data_dir / "demo-fill").exists(), "nothing is filled in a database that was given"
    first = path.read_text()
    assert database.command("prepare").returncode == 0
    assert path.read_text() == first, "while it is good it stays"
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("SELECT set_config('app.tenant', id::text, false) FROM tenant")
        assert connection.execute("UPDATE member SET invitation_expires_at = now() - interval '1 s'").rowcount == 1
        assert database.command("prepare").returncode == 0
        renewed = path.read_text()
        assert "/invitation/js_invite_" in renewed
        assert renewed != first
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        found = "SELECT count(*) FROM find_invitation(sha256(%s))"
        for link, is_good in ((first, 0), (renewed, 1)):
            invitation = link.strip().rpartition("/")[2].encode()
            assert connection.execute(found, [invitation]).fetchone() == (is_good,)
        gone = "UPDATE member SET status = 'removed', invitation_hash = NULL, invitation_expires_at = NULL"
        assert connection.execute(gone).rowcount == 1
    assert database.command("prepare").returncode == 0
    assert not path.exists()


def test_a_database_that_was_left_alone_for_weeks_gets_its_partitions_before_anybody_writes(
    database: PreparedDatabase,
) -> None:
    assert database.command("prepare").returncode == 0
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        name = "SELECT 'job_' || to_char(date_trunc('week', now() AT TIME ZONE 'UTC'), 'YYYYMMDD')"
        (this_week,) = connection.execute(name).fetchone() or ("",)
        connection.execute(f"DROP TABLE {this_week}".encode())
        assert database.command("prepare").returncode == 0
        assert connection.execute("SELECT to_regclass(%s)::text", [this_week]).fetchone() == (this_week,)
