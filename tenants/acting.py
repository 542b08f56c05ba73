"""Who acts in this thread: an API key behind a request, the operator behind a command, else the service itself.

Set at the door, by the API and by the operator's commands, and read where an act is written down (`audit.py`): what a
domain verb does is the same for all of them.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.conf import settings

API_KEY, MEMBER, OPERATOR, SERVICE = "api-key", "member", "operator", "service"
ACTOR_TYPES = (API_KEY, MEMBER, OPERATOR, SERVICE)


@dataclass(frozen=True, slots=True)
class Actor:
    """`id`: `key_…`, `mem_…`, the operator's login on the machine, or the service's process."""

    type: str
    id: str
    command: str | None = None
    address: str | None = None
    request_id: str | None = None


_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)
_is_part: ContextVar[bool] = ContextVar("is_part_of_an_act", default=False)


def current_actor() -> Actor:
    """Who acts; the service's own process when nobody has asked for it."""
    return _actor.get() or Actor(SERVICE, settings.ENVIRONMENT.process)


def operator(command: str) -> Actor:
    """Whoever runs this command: the login that the process belongs to, which no variable can change."""
    uid = os.getuid()
    try:
        return Actor(OPERATOR, pwd.getpwuid(uid).pw_name, command=command)
    except KeyError:  # in a container, perhaps
        return Actor(OPERATOR, f"uid {uid}", command=command)


@contextmanager
def acting_as(actor: Actor | None) -> Iterator[None]:
    """What is done in the block is done by this actor; None: by nobody yet, see `set_actor`."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def set_actor(actor: Actor) -> None:
    """From here to the end of the surrounding `acting_as` block it is this actor."""
    _actor.set(actor)


@contextmanager
def part_of_an_act() -> Iterator[None]:
    """What is done in the block belongs to an act that is written down as a whole, as a bulk action is."""
    token = _is_part.set(True)
    try:
        yield
    finally:
        _is_part.reset(token)


def is_part_of_an_act() -> bool:
    return _is_part.get()
