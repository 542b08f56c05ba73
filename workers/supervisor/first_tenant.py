"""Where the key of the tenant `demo` of the first start is kept, so that there is a key to try the service with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jobservice.env import Environment
from workers.supervisor.folders import write_private

NAME = "demo"
KEY_FILE = "demo-api-key"


def key_path(environment: Environment) -> Path:
    return environment.data_dir / KEY_FILE


def read_first_key(environment: Environment) -> str:
    """The kept key; empty when there is none, or it is another user's."""
    try:
        return key_path(environment).read_text().strip()
    except OSError:
        return ""


def make_first_tenant(environment: Environment, *, make: Callable[[str], str]) -> None:
    """Let `make(name)` make the tenant and keep the key that it returns, mode 0600.

    Call it inside the transaction that makes the tenant: a key is then kept before it is good for anything, and a crash
    in between leaves no tenant whose key nobody knows.
    """
    write_private(key_path(environment), f"{make(NAME)}\n")
