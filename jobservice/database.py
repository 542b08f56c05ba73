"""From a `postgresql://` address to Django's settings, and from those to a connection outside Django."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg
from django.db import connection

from jobservice.env import ConfigurationError


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
        "OPTIONS": options,
    }


def give_back_connection() -> None:
    """Return this thread's connection to the pool before a long pause; inside a transaction it stays."""
    if not connection.in_atomic_block:
        connection.close()


def connect_alone() -> psycopg.Connection:
    """A connection of its own, in autocommit and outside any pool, to the database and role Django uses."""
    parameters = connection.get_connection_params()
    # Django's own keys, which libpq does not know.
    for name in ("context", "cursor_factory", "pool", "prepare_threshold"):
        parameters.pop(name, None)
    return psycopg.connect(autocommit=True, **parameters)
