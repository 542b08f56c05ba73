"""Which functions of the product are stages of an accept, and how they are wrapped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.stages import StageClock, Wrapper, timed, wrap_point

# In the order of a request. What is not listed is part of the stage around it.
POINTS = {
    "http: log": ("api.middleware:_log_answer",),
    "http: connection from and to the pool": (
        "django.db.backends.base.base:BaseDatabaseWrapper.connect",
        "django.db.backends.base.base:BaseDatabaseWrapper.close",
    ),
    "parse: read the body": ("api.parsing:read_body",),
    "parse: JSON": ("api.parsing:parse_json",),
    "parse: check the fields": ("jobservice.jobs.submission:parse_submission",),
    "auth: key": ("tenants.api_keys:authenticate",),
    "auth: scopes": ("api.permissions:HasDeclaredScopes.has_permission",),
    "type": ("jobservice.jobs.type_resolution:resolve_types",),
    "seal": ("tenants.blobs:seal_blob",),
    "accept: what is left": ("jobservice.jobs.accept:accept_job",),
    "accept: Django's transaction": (
        "django.db.transaction:Atomic.__enter__",
        "django.db.transaction:Atomic.__exit__",
    ),
    "accept: around statements": ("jobservice.statements:run_statement",),
    "commit": ("django.db.backends.base.base:BaseDatabaseWrapper._commit",),
    "wake": ("jobservice.jobs.notifier:wake_dispatcher",),
    "render: representation": ("jobservice.jobs.representation:represent_job",),
    "render: JSON": ("api.rendering:ApiRenderer.render",),
}


def install(clock: StageClock) -> list[str]:
    """Wrap every point, every statement and BEGIN; the names of the points that are gone. Needs Django's apps."""
    missing = [
        point for name, points in POINTS.items() for point in points if not wrap_point(point, timed(clock, name))
    ]
    file = _StatementFile()
    wrap_point("jobservice.statements:run_statement", file.remember)
    wrap_point("psycopg:Cursor.execute", _name_statements(clock, file))
    wrap_point("psycopg:Connection._exec_command", _count_begin(clock))
    return missing


class _StatementFile:
    """Which `.sql` file is being run: a better name for a statement than its first words."""

    def __init__(self) -> None:
        self.name = ""

    def remember(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Path, *args: Any, **kwargs: Any) -> Any:
            self.name = path.name
            try:
                return function(path, *args, **kwargs)
            finally:
                self.name = ""

        return call


def _name_statements(clock: StageClock, file: _StatementFile) -> Wrapper:
    def wrap(execute: Callable[..., Any]) -> Callable[..., Any]:
        def call(cursor: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
            if not clock.is_counting():
                return execute(cursor, statement, *args, **kwargs)
            with clock.stage(f"SQL: {file.name or ' '.join(str(statement).split())[:50]}"):
                return execute(cursor, statement, *args, **kwargs)

        return call

    return wrap


def _count_begin(clock: StageClock) -> Wrapper:
    """psycopg sends BEGIN by itself, a round trip of its own before the first statement."""

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        def call(connection: Any, text: Any, *args: Any, **kwargs: Any) -> Any:
            if not clock.is_counting() or bytes(text)[:5].upper() != b"BEGIN":
                return (yield from command(connection, text, *args, **kwargs))
            with clock.stage("SQL: BEGIN"):
                return (yield from command(connection, text, *args, **kwargs))

        return call

    return wrap
