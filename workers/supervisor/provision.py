"""Prepares a database for the service: its owner, then (after the migrations) a login for each runtime role.

Works alike for the embedded PostgreSQL and for the one that `DATABASE_URL` names.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from jobservice.env import ConfigurationError, Environment
from workers.supervisor.connections import (
    BROKER,
    OWNER,
    RUNTIME_ROLES,
    VARIABLES,
    change_login,
    is_given,
    password_of,
    read_connections,
    write_connections,
)

EMBEDDED_DATABASE = "jobservice"
EMBEDDED_OWNER = "jobservice_owner"
CONNECT_SECONDS = 5
OLDEST_SERVER_VERSION = 150000


def prepare_owner(superuser_url: str, *, stored_url: str = "", database: str = EMBEDDED_DATABASE) -> str:
    """Make the database and the role that owns it, whatever is missing. Returns the owner's address.

    The password in `stored_url` is kept when it still works. The role is no superuser: row-level security binds it.
    """
    owner = EMBEDDED_OWNER if database == EMBEDDED_DATABASE else f"{database}_owner"
    server = urlsplit(superuser_url)._replace(path=f"/{database}").geturl()
    kept = change_login(server, user=owner, password=password_of(stored_url))
    if password_of(stored_url) and _connects(kept):
        return kept
    password = secrets.token_urlsafe(24)
    with psycopg.connect(superuser_url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
        _ensure_owner(connection, owner)
        _set_password(connection, owner, password)
        _ensure_database(connection, database, owner)
    return change_login(server, user=owner, password=password)


def check_database(url: str, *, variable: str = VARIABLES[OWNER]) -> None:
    """Raises `ConfigurationError`, naming the variable and never the password, unless `url` can be used."""
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            version = connection.info.server_version
    except psycopg.OperationalError as error:
        raise ConfigurationError(
            f"{variable}: the database cannot be reached ({_reason(error, url)}); start it or correct the address."
        ) from None
    except psycopg.Error:
        raise ConfigurationError(f"{variable}: this is not an address that PostgreSQL's client understands.") from None
    if version < OLDEST_SERVER_VERSION:
        raise ConfigurationError(f"{variable}: the server is PostgreSQL {version // 10000}; 15 or newer is needed.")


def assign_logins(
    owner_url: str, *, given: Mapping[str, str], stored: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Let each runtime role log in. Returns (addresses by role, roles that got a new password).

    An address in `given` is only checked. A password in `stored` is kept when it still works, because another
    process may be using it. Raises `ConfigurationError` when a role is missing or a given address does not work.
    """
    urls: dict[str, str] = {}
    renewed: list[str] = []
    with psycopg.connect(owner_url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
        for role in RUNTIME_ROLES:
            if role in given:
                check_database(given[role], variable=VARIABLES[role])
                continue
            login = f"{connection.info.dbname}_{role}"
            urls[role] = change_login(owner_url, user=login, password=password_of(stored.get(role, "")))
            if not password_of(urls[role]) or not _connects(urls[role]):
                password = secrets.token_urlsafe(24)
                _set_password(connection, login, password)
                urls[role] = change_login(owner_url, user=login, password=password)
                renewed.append(login)
    return urls, renewed


def keep_logins(environment: Environment) -> list[str]:
    """Let each runtime role log in and keep the addresses in `connections.json`; the roles that got a new password.

    Raises as `assign_logins` does.
    """
    stored = read_connections(environment.connections_path)
    given = {role: environment.database_urls[role] for role in RUNTIME_ROLES if is_given(role)}
    urls, renewed = assign_logins(environment.database_urls[OWNER], given=given, stored=stored)
    # What the operator gives is not stored; neither is what an earlier start gave instead.
    made = {name: url for name, url in stored.items() if name in (OWNER, BROKER) and not is_given(name)}
    if (kept := {**made, **urls}) != stored:
        write_connections(environment.connections_path, kept)
    return renewed


def _ensure_owner(connection: psycopg.Connection, owner: str) -> None:
    # It administers the roles it makes and must not inherit from them: their policies would then be its own too.
    if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [owner]).rowcount:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(owner)))
    connection.execute(
        sql.SQL("ALTER ROLE {} CREATEROLE NOSUPERUSER NOBYPASSRLS NOCREATEDB").format(sql.Identifier(owner))
    )


def _ensure_database(connection: psycopg.Connection, database: str, owner: str) -> None:
    if connection.execute("SELECT FROM pg_database WHERE datname = %s", [database]).rowcount:
        return
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(owner)))


def _set_password(connection: psycopg.Connection, role: str, password: str) -> None:
    """Allow the role to log in; only the SCRAM verifier reaches the server, and so its log."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier))
    try:
        connection.execute(statement)
    except psycopg.errors.UndefinedObject:
        raise ConfigurationError(f"DATABASE_URL: the role {role} is missing; the migrations make it.") from None
    except psycopg.errors.InsufficientPrivilege:
        raise ConfigurationError(
            f"DATABASE_URL: its role may not give {role} a password; let it administer that role (CREATEROLE), "
            f"or set {', '.join(VARIABLES[name] for name in RUNTIME_ROLES)}."
        ) from None


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=CONNECT_SECONDS).close()
    except psycopg.OperationalError:
        return False
    return True


def _reason(error: psycopg.Error, url: str) -> str:
    """The client's own words on one line, without the password should they ever hold it."""
    text = " ".join(str(error).split()) or "no answer"
    password = password_of(url)
    return text.replace(password, "***") if password else text
