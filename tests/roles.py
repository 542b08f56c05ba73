"""Tests run as the role they are about: the test's own connection is a superuser's, whom no policy binds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from django.conf import settings
from django.db import connection

from tenants.rls import role_name


@contextmanager
def as_role(role: str) -> Iterator[None]:
    """Act as `web`, `worker` or `dispatcher`, or as `owner` (the superuser) until the end of the block.

    The tenant of an earlier transaction is forgotten, for in a rolled-back test all of them are one.
    """
    previous = settings.ENVIRONMENT
    set_role(role)
    settings.ENVIRONMENT = replace(previous, process=role)
    try:
        yield
    finally:
        settings.ENVIRONMENT = previous
        if not connection.needs_rollback:
            set_role("owner")


def set_role(role: str) -> None:
    """Turn this thread's connection to a role until the end of its transaction, or of its session without one."""
    is_local = connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant', '', %s), set_config('app.tenants', '', %s)", [is_local] * 2)
        cursor.execute(f"SET {'LOCAL ' if is_local else ''}ROLE {_quoted(role)}")


def _quoted(role: str) -> str:
    return "NONE" if role == "owner" else connection.ops.quote_name(role_name(role, connection.settings_dict["NAME"]))
