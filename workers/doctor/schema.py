"""The schema: migrated as far as the code is, with a partition for every id that comes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from workers.doctor.finding import Finding, ok, problem, show_count, warning
from workers.doctor.reader import Reader

Names = set[tuple[str, str]]
# Partitions are made three weeks ahead, and each hour again.
AHEAD_NOTED, AHEAD_REFUSED = timedelta(days=14), timedelta(days=2)
_MAKE = "Start a dispatcher: it makes them each hour."


def check_migrations(reader: Reader) -> Finding:
    rows = reader.read("dispatcher", "SELECT app, name FROM django_migrations")
    return judge_migrations(
        known=set(MigrationLoader(None).disk_migrations or ()), applied={tuple(row) for row in rows}
    )


def judge_migrations(*, known: Names, applied: Names) -> Finding:
    if pending := known - applied:
        names = ", ".join(f"{app}.{name}" for app, name in sorted(pending))
        return problem(f"The database lacks {names}.", fix="Run `manage.py migrate`.")
    # Other apps' migrations may have come and gone; a newer one of ours means that this code is the older.
    ours = {app for app, _ in known}
    if newer := {(app, name) for app, name in applied - known if app in ours}:
        names = ", ".join(f"{app}.{name}" for app, name in sorted(newer))
        return warning(f"The database has {names}, which this version does not know.", fix="Update this installation.")
    return ok(f"All {show_count(len(known), 'migration')} applied.")


def check_partitions(reader: Reader) -> Finding:
    """Each table partitioned by id has one for now and for the weeks to come."""
    bounds: dict[str, list[str]] = {}
    for row in reader.read("owner", "partition_bounds"):
        bounds.setdefault(row.table_name, []).append(row.bound)
    (clock,) = reader.read("owner", "SELECT clock_timestamp() AS now")
    return judge_partitions(bounds, now=clock.now)


def judge_partitions(bounds: Mapping[str, Iterable[str]], *, now: datetime) -> Finding:
    """`bounds` are the texts `FOR VALUES FROM ('…') TO ('…')` of each table's partitions."""
    reached = {table: _reach(sorted(_spans(texts)), now=now) for table, texts in bounds.items()}
    shortest = min(reached, key=lambda table: reached[table], default=None)
    if shortest is None:
        return problem("No table has partitions.", fix="Run `manage.py migrate`.")
    ahead = reached[shortest] - now
    detail = f"Partitions reach {max(ahead.days, 0)} days ahead, those of {shortest} the least."
    if ahead < AHEAD_REFUSED:
        return problem(detail, fix=_MAKE)
    return warning(detail, fix=_MAKE) if ahead < AHEAD_NOTED else ok(detail)


def check_default_partitions(reader: Reader) -> Finding:
    """A row there lies outside every week: nothing would ever drop it. Partitions are open to their owner alone."""
    names = [row.table_name for row in reader.read("owner", "default_partitions")]
    full = [name for name in names if reader.read("owner", _any_row_of(name))[0].any]
    if full:
        return problem(
            f"Rows lie in {', '.join(full)}.",
            fix="Correct the clock of the machine that made these ids; move the rows into partitions of their weeks.",
        )
    return ok(f"All {show_count(len(names), 'default partition')} empty.")


def _any_row_of(table: str) -> str:
    return sql.SQL("SELECT EXISTS (SELECT FROM public.{}) AS any").format(sql.Identifier(table)).as_string()


def _spans(bounds: Iterable[str]) -> Iterable[tuple[datetime, datetime]]:
    for bound in bounds:
        if found := re.findall(r"'([0-9a-f-]{36})'", bound):
            first, last = (_time_of(UUID(text)) for text in found)
            yield first, last


def _reach(spans: Iterable[tuple[datetime, datetime]], *, now: datetime) -> datetime:
    """Until when, from now on, there is a partition without a gap; now itself when there is none."""
    until = now
    for first, last in spans:
        if first <= until < last:
            until = last
    return until


def _time_of(identifier: UUID) -> datetime:
    """The moment in a UUIDv7: its first 48 bits are milliseconds of Unix time (RFC 9562, section 5.7)."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
