"""Where the key of the tenant `demo` of the first start is kept, so that there is a key to try the service with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jobservice.env import Environment
from workers.supervisor.folders import write_private

NAME = "demo"
KEY_FILE = "demo-api-key"
# Whoever made the first start is its owner; the address is only the name of a login until it is changed.
OWNER_EMAIL = "owner@demo.example"
LINK_FILE = "demo-console-link"
MARK_FILE = "demo-fill"


def key_path(environment: Environment) -> Path:
    return environment.data_dir / KEY_FILE


def read_first_key(environment: Environment) -> str:
    """The kept key; empty when there is none, or it is another user's."""
    try:
        return key_path(environment).read_text().strip()
    except OSError:
        return ""


def link_path(environment: Environment) -> Path:
    return environment.data_dir / LINK_FILE


def mark_path(environment: Environment) -> Path:
    """There from the making of the tenant until it is filled with jobs (`demo_fill.py`)."""
    return environment.data_dir / MARK_FILE


def read_first_link(environment: Environment) -> str:
    """The console's link for the tenant's owner, which is good once; empty when there is none."""
    try:
        return link_path(environment).read_text().strip()
    except OSError:
        return ""


def keep_first_link(environment: Environment, *, renew: Callable[[str, str], str | None]) -> None:
    """Keep the link good until its owner has chosen a password: `renew(email, link)` gives the one to show from now on,
    or None when there is none any more.
    """
    if not (link := read_first_link(environment)):
        return
    renewed = renew(OWNER_EMAIL, link)
    if renewed is None:
        link_path(environment).unlink(missing_ok=True)
    elif renewed != link:
        write_private(link_path(environment), f"{renewed}\n")


def make_first_tenant(
    environment: Environment, *, make: Callable[[str], str], invite: Callable[[str, str], str], fills: bool = False
) -> None:
    """Let `make(name)` make the tenant and keep the key that it returns, and the link that `invite(name, email)` makes
    for its owner, mode 0600. `fills`: it is to be filled with jobs later.

    Call it inside the transaction that makes the tenant: a key is then kept before it is good for anything, and a crash
    in between leaves no tenant whose key nobody knows.
    """
    write_private(key_path(environment), f"{make(NAME)}\n")
    write_private(link_path(environment), f"{invite(NAME, OWNER_EMAIL)}\n")
    if fills:
        write_private(mark_path(environment), "The tenant demo is to be filled with jobs.\n")
