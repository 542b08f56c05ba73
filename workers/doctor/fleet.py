"""The processes around the database: the broker answers, a dispatcher turns its rounds, each pool has live workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings

from jobservice.celery import EGRESS, HANDLERS
from jobservice.env import ConfigurationError
from jobservice.jobs.fleet import SILENT_SECONDS, VERSION
from workers.doctor.finding import Finding, ok, problem, show_age, show_count, warning
from workers.doctor.reader import Reader
from workers.supervisor.preflight import check_broker

POOLS = (HANDLERS, EGRESS, "deliveries")
# Which command serves a pool: one egress process takes both http jobs and deliveries.
_COMMANDS = {HANDLERS: "worker handlers", EGRESS: "worker egress", "deliveries": "worker egress"}
DISPATCHER_SILENT_SECONDS = 10.0


def check_broker_answers(_reader: Reader) -> Finding:
    url = settings.ENVIRONMENT.broker_url
    if not url:
        return problem("No broker's address is known here.", fix="Set BROKER_URL, or start `manage.py up`.")
    try:
        check_broker(url)
    except ConfigurationError as error:
        return problem(str(error), fix="Jobs wait in the database until then; none is lost.")
    return ok("The broker answers.")


def check_dispatcher(reader: Reader) -> Finding:
    """A dispatcher asks the database something each second; its sessions are seen as its own role."""
    (row,) = reader.read("dispatcher", "dispatcher_sessions", {"silent_seconds": DISPATCHER_SILENT_SECONDS})
    return judge_dispatcher(turning=row.turning, connected=row.connected)


def judge_dispatcher(*, turning: int, connected: int) -> Finding:
    if turning:
        return ok(f"{show_count(turning, 'dispatcher')} at work.")
    if connected:
        return problem(
            f"A dispatcher is connected, but has asked nothing for {DISPATCHER_SILENT_SECONDS:.0f} s.",
            fix="Look at its log (the broker may block it), and restart it.",
        )
    return problem("No dispatcher is connected, so no job is handed out.", fix="Start `manage.py dispatcher`.")


def check_workers(reader: Reader) -> Finding:
    rows = reader.read("dispatcher", "live_workers", {"silent_seconds": SILENT_SECONDS})
    return judge_workers(rows)


def judge_workers(rows: Sequence[Any]) -> Finding:
    """`rows`: one per pool and version, with how many workers are alive, how many drain, and their slots."""
    slots = {pool: sum(row.slots for row in rows if row.pool == pool) for pool in POOLS}
    if missing := [pool for pool in POOLS if not slots[pool]]:
        commands = sorted({f"`manage.py {_COMMANDS[pool]}`" for pool in missing})
        return problem(
            f"Pool {' and '.join(missing)} has no worker seen within {show_age(SILENT_SECONDS)} that takes work.",
            fix=f"Start {' and '.join(commands)}.",
        )
    detail = f"Slots: {', '.join(f'{pool} {slots[pool]}' for pool in POOLS)}."
    if versions := sorted({row.version for row in rows} - {VERSION}):
        return warning(
            f"{detail} Some workers run version {', '.join(versions)}, this is {VERSION}.", fix="Finish the deployment."
        )
    return ok(detail)
