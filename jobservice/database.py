"""The database itself: from a `postgresql://` address to Django's settings, and from those to a connection outside
Django; which rule refused a write; the wait for other connections' transactions.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError, connection
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction, TransactionTimeout

from jobservice.env import ConfigurationError

_LOOK_SECONDS = 0.05
# A server that vanished without a word, with its machine or behind an address that moved, is given up after about 25 s.
# Without these nobody notices: whoever waits for an answer waits for two hours, and has no lease renewed meanwhile.
_NOTICES_SILENCE = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
# What PostgreSQL ends although nothing is wrong with the request: it was too long in coming, or is for another server.
_PASSING = (ReadOnlySqlTransaction, IdleInTransactionSessionTimeout, TransactionTimeout)


def parse_database_url(url: str) -> dict[str, Any]:
    """NAME, USER, PASSWORD, HOST, PORT and OPTIONS of an address; `?host=/folder` names a unix socket's folder.

    An empty address gives an empty name, so that commands that need no database still run.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    try:
        port = parts.port
    except ValueError:
        raise ConfigurationError("DATABASE_URL: the port is not a number.") from None
    return {
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", unquote(parts.hostname or "")),
        "PORT": str(options.pop("port", port or "")),
        # What remains is libpq's own, such as sslmode and sslrootcert.
        "OPTIONS": {**_NOTICES_SILENCE, **options},
    }


def give_back_connection() -> None:
    """Return this thread's connection to the pool before a long pause; inside a transaction it stays."""
    if not connection.in_atomic_block:
        connection.close()


def drop_dead_connections() -> bool:
    """After an error outside a transaction: whether it may have been a pooled connection that had died since its last
    use, as all have when the server was restarted. Those are dropped now, and the next use gets a living one."""
    pool = getattr(connection, "pool", None)
    if connection.in_atomic_block or pool is None:
        return False
    connection.close()
    pool.check()
    return True


def connect_alone() -> psycopg.Connection:
    """A connection of its own, in autocommit and outside any pool, to the database and role Django uses."""
    parameters = connection.get_connection_params()
    # Django's own keys, which libpq does not know.
    for name in ("context", "cursor_factory", "pool"):
        parameters.pop(name, None)
    return psycopg.connect(autocommit=True, **parameters)


def is_database_away(error: Exception) -> bool:
    """Away, full, overloaded, impatient, or a standby that takes no writes: the same request may succeed later."""
    if isinstance(error, InternalError):
        return isinstance(error.__cause__, _PASSING)
    return isinstance(error, OperationalError | InterfaceError)


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the constraint, or of the trigger's rule, that refused a write."""
    return error.__cause__.diag.constraint_name if isinstance(error.__cause__, psycopg.Error) else None


def wait_for_running_writes(*, timeout_seconds: float) -> bool:
    """Wait until every transaction that has written something by now is over. False when one outlasts the time.

    Run outside a transaction. A transaction counts from its first write or row lock on, which give it its number.
    """
    with connection.cursor() as cursor:
        # A number of our own, given and ended: every earlier one that still runs is listed in the next snapshot.
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        (own,) = cursor.fetchone()
    running = {number for number in _running_writes() if number < own}
    deadline = time.monotonic() + timeout_seconds
    while running and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        running &= _running_writes()
    return not running


def _running_writes() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT number::text::bigint FROM pg_snapshot_xip(pg_current_snapshot()) AS number")
        return {number for (number,) in cursor.fetchall()}
