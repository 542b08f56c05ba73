"""`connections.json`: the addresses that a start generated, for the other processes and the operator's commands."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from jobservice.env import ConfigurationError
from workers.supervisor.folders import write_private

OWNER = "owner"
RUNTIME_ROLES = ("web", "worker", "dispatcher")
BROKER = "broker"
# The variable that names each role's address; `env.py` prefers it to the file.
VARIABLES = {
    OWNER: "DATABASE_URL",
    "web": "JOBSERVICE_WEB_DATABASE_URL",
    "worker": "JOBSERVICE_WORKER_DATABASE_URL",
    "dispatcher": "JOBSERVICE_DISPATCHER_DATABASE_URL",
    BROKER: "BROKER_URL",
}


def is_given(name: str) -> bool:
    """Whether the operator set this address (`owner`, `web`, …, `broker`), rather than an earlier start."""
    variable = VARIABLES[name]
    return bool(os.environ.get(variable) or os.environ.get(f"{variable}_FILE"))


def read_connections(path: Path) -> dict[str, str]:
    """The stored addresses; none when there is no file. Raises `ConfigurationError` when it cannot be read."""
    try:
        content = json.loads(path.read_text())
        return {str(name): str(url) for name, url in content.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); run as the user that owns it.") from None
    except (ValueError, AttributeError):
        raise ConfigurationError(f"{path} is not valid; remove it, and the next start writes it anew.") from None


def write_connections(path: Path, urls: dict[str, str]) -> None:
    """Replace the file, mode 0600."""
    write_private(path, json.dumps(urls, indent=2) + "\n")


def password_of(url: str) -> str:
    """The password in an address; empty when it has none."""
    parts = urlsplit(url)
    return unquote(parts.password or "") or dict(parse_qsl(parts.query)).get("password", "")


def change_login(url: str, *, user: str, password: str) -> str:
    """The same server and database under another login."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in ("user", "password")]
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{host}", query=urlencode(query, safe="/")).geturl()
