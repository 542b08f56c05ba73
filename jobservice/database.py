"""Turns a `postgresql://` address into Django's connection settings. Knows nothing of roles or tenants."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jobservice.env import ConfigurationError


def parse_database_url(url: str) -> dict[str, Any]:
    """NAME, USER, PASSWORD, HOST and PORT of an address; `?host=/folder` names a unix socket's folder.

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
        "HOST": options.get("host", unquote(parts.hostname or "")),
        "PORT": str(options.get("port", port or "")),
    }
