"""The inbox of `make run`: the one place of this very service that it may call, to show what a receiver would get.

There is none unless `JOBSERVICE_DEV_INBOX` is on, which only the supervisor sets, over a database of its own.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from jobservice.env import Environment, Network

INBOX_PATH: Final = "/dev/inbox"
# A tenant's id, and a word that nobody guesses: exactly what the inbox's own page names, and nothing around it.
_PATH = re.compile(INBOX_PATH + r"/tnt_[0-9a-z]{26}/[0-9a-f]{32}")
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1", "localhost": "127.0.0.1"}  # noqa: S104 - read here, not bound  # nosec B104


def inbox_origin(environment: Environment) -> str:
    """Where the inbox is called, by address, so that no name server has a say; empty when there is none."""
    if not environment.dev_inbox:
        return ""
    host = own_address(environment.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{environment.port}"


def own_address(host: str) -> str:
    """An address at which this machine reaches what listens on `host`."""
    bare = host.strip("[]").lower()
    return _EVERY_ADDRESS.get(bare, bare)


def is_address(host: str) -> bool:
    """Whether it is an address and no name: a name may turn to another machine, so no inbox is called by one."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_inbox_path(path: str) -> bool:
    """Whether a callback to some tenant's inbox is sent there."""
    return _PATH.fullmatch(path) is not None


def is_inbox_url(url: str, origin: str) -> bool:
    """Whether the URL, as it is written, is some tenant's inbox and nothing else."""
    return origin != "" and url.startswith(f"{origin}/") and is_inbox_path(url.removeprefix(origin))


def inbox_network(origin: str) -> Network:
    """The one address of the inbox."""
    host = origin.removeprefix("http://").rpartition(":")[0].strip("[]")
    return ipaddress.ip_network(host)
