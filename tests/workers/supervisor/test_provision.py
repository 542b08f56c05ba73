"""The owner and the roles' logins, on a database like the one the migrations leave."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from jobservice import env
from jobservice.env import ConfigurationError
from tenants import rls
from workers.supervisor.connections import (
    RUNTIME_ROLES,
    change_login,
    password_of,
    read_connections,
    write_connections,
)
from workers.supervisor.embedded_postgres import EmbeddedPostgres, run_throwaway_postgres
from workers.supervisor.provision import assign_logins, check_database, keep_logins, prepare_owner


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    with run_throwaway_postgres() as postgres:
        yield postgres


@pytest.fixture
def owner_url(postgres: EmbeddedPostgres) -> str:
    """The owner of a new database in which the roles exist but cannot log in yet."""
    database = f"d{secrets.token_hex(4)}"
    url = prepare_owner(postgres.superuser_url, database=database)
    with psycopg.connect(url, autocommit=True) as connection:
        for role in RUNTIME_ROLES:
            connection.execute(f"CREATE ROLE {database}_{role} NOLOGIN")
        connection.execute("CREATE TABLE tenant (name text)")
    return url


def user_of(url: str) -> str:
    with psycopg.connect(url) as connection:
        return connection.info.user


def test_roles_are_named_as_the_migrations_name_them() -> None:
    assert RUNTIME_ROLES == rls.RUNTIME_ROLES
    assert rls.role_name("web", "jobservice") == "jobservice_web"


def test_the_owner_owns_its_database_and_is_bound_by_row_level_security(owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        assert connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, datdba = r.oid FROM pg_roles r, pg_database d "
            "WHERE rolname = current_user AND datname = current_database()"
        ).fetchone() == (False, False, True, True)
        # Inherited, the dispatcher's policies would show the owner every tenant.
        for role in RUNTIME_ROLES:
            query = "SELECT pg_has_role(current_user, current_database() || '_' || %s, 'USAGE')"
            assert connection.execute(query, [role]).fetchone() == (False,)


def test_the_owners_password_is_kept_while_it_works(postgres: EmbeddedPostgres, owner_url: str) -> None:
    database = urlsplit(owner_url).path.lstrip("/")
    assert prepare_owner(postgres.superuser_url, stored_url=owner_url, database=database) == owner_url
    wrong = change_login(owner_url, user=f"{database}_owner", password="wrong")
    assert prepare_owner(postgres.superuser_url, stored_url=wrong, database=database) not in (owner_url, wrong)


def test_each_role_gets_its_own_password_and_keeps_it(owner_url: str) -> None:
    database = urlsplit(owner_url).path.lstrip("/")
    urls, renewed = assign_logins(owner_url, given={}, stored={})
    assert renewed == [f"{database}_{role}" for role in RUNTIME_ROLES]
    assert [user_of(urls[role]) for role in RUNTIME_ROLES] == renewed
    assert len({password_of(url) for url in urls.values()}) == 3
    assert assign_logins(owner_url, given={}, stored=urls) == (urls, [])


def test_a_wrong_password_is_refused(owner_url: str) -> None:
    urls, _ = assign_logins(owner_url, given={}, stored={})
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(change_login(urls["web"], user=urlsplit(urls["web"]).username or "", password="wrong"))


def test_a_given_address_is_checked_and_never_changed(owner_url: str) -> None:
    urls, _ = assign_logins(owner_url, given={}, stored={})
    rest, renewed = assign_logins(owner_url, given={"web": urls["web"]}, stored=urls)
    assert (set(rest), renewed) == ({"worker", "dispatcher"}, [])
    secret = secrets.token_hex(8)
    broken = change_login(urls["web"], user="nobody", password=secret)
    with pytest.raises(ConfigurationError, match=r"^JOBSERVICE_WEB_DATABASE_URL: ") as refused:
        assign_logins(owner_url, given={"web": broken}, stored=urls)
    assert secret not in str(refused.value)


def test_a_missing_role_is_named(owner_url: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(f"DROP ROLE {connection.info.dbname}_worker")
    with pytest.raises(ConfigurationError, match=r"the role \w+_worker is missing"):
        assign_logins(owner_url, given={}, stored={})


def test_only_verifiers_reach_the_servers_log(postgres: EmbeddedPostgres, owner_url: str) -> None:
    """What the server is sent is what it could log: the catalogue must hold the very verifier of the statement."""
    urls, _ = assign_logins(owner_url, given={}, stored={})
    with psycopg.connect(postgres.superuser_url) as connection:
        rows = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL").fetchall()
    assert all(row[0].startswith("SCRAM-SHA-256$") for row in rows)
    assert not any(password_of(url) in row[0] for url in urls.values() for row in rows)


def test_logins_are_kept_beside_what_else_was_made(
    owner_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSERVICE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    stored = {"owner": owner_url, "broker": "redis+socket:///tmp/mq", "web": "postgresql://old:wrong@/d"}
    write_connections(tmp_path / "connections.json", stored)
    assert len(keep_logins(env.load())) == 3
    kept = read_connections(tmp_path / "connections.json")
    assert {name: kept[name] for name in ("owner", "broker")} == {name: stored[name] for name in ("owner", "broker")}
    assert [user_of(kept[role]) for role in RUNTIME_ROLES] == [
        user_of(owner_url).replace("owner", role) for role in RUNTIME_ROLES
    ]
    assert keep_logins(env.load()) == []
    assert read_connections(tmp_path / "connections.json") == kept
    # Given from now on: no longer stored.
    monkeypatch.setenv("DATABASE_URL", owner_url)
    monkeypatch.setenv("JOBSERVICE_WEB_DATABASE_URL", kept["web"])
    assert keep_logins(env.load()) == []
    assert set(read_connections(tmp_path / "connections.json")) == {"broker", "worker", "dispatcher"}


@pytest.mark.parametrize("address", ["postgresql://u:{secret}@/d?host=/nowhere", "postgresql://u:{secret}@h:port/d"])
def test_an_address_that_does_not_work_is_named_without_its_password(address: str) -> None:
    secret = secrets.token_hex(8)
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL: ") as refused:
        check_database(address.format(secret=secret))
    assert secret not in str(refused.value)


def test_a_login_changes_only_the_login() -> None:
    url = "postgresql://a:b@db.example:5433/jobs?sslmode=verify-full&sslrootcert=/etc/ca.pem&password=c"
    assert change_login(url, user="w@b", password="p/w") == (
        "postgresql://w%40b:p%2Fw@db.example:5433/jobs?sslmode=verify-full&sslrootcert=/etc/ca.pem"
    )
