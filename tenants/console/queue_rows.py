"""Queues as people see them: what is in each, how much of its limits is used, and who paused it and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.urls import reverse

from jobservice.jobs.overview import CappedCount
from jobservice.jobs.queue_board import read_ends, read_used_rates
from jobservice.jobs.queues import Pause, QueueView
from jobservice.jobs.states import LIVE_STATES
from tenants.actor_names import name_actors
from tenants.console.actors import show_actor
from tenants.console.overview_figures import show_capped

_LATER = ("scheduled", "retryable", "suspended")


def queue_rows(tenant_id: UUID, views: Sequence[QueueView]) -> list[dict[str, Any]]:
    """A row for each, with its rate, what ended in it lately, and its pause."""
    names = [view.name for view in views]
    rated = [view.name for view in views if view.settings["rate"]]
    used = read_used_rates(tenant_id, rated) if rated else {}
    ends = read_ends(tenant_id, names) if names else {}
    actors = name_actors(tenant_id, {view.pause.by_id for view in views if view.pause and view.pause.by_id})
    return [_row(view, used.get(view.name, 0), ends[view.name], actors) for view in views]


def queue_facts(row: Mapping[str, Any]) -> list[object]:
    """What changes of a row."""
    now = row["view"].now
    return [row["view"].revision, now.jobs, sorted(now.more), now.oldest_due_seconds, row["rate_used"], row["ends"]]


def queue_address(name: str) -> str:
    return reverse("console-QueuePage", kwargs={"queue": name})


def show_pause(tenant_id: UUID, pause: Pause) -> dict[str, Any]:
    """`at`, `who` and `reason` of a pause, as people read them; empty where nothing is known."""
    return _pause(pause, name_actors(tenant_id, {pause.by_id} if pause.by_id else ()))


def _row(view: QueueView, rate_used: int, ends: list[int], actors: Mapping[str, str]) -> dict[str, Any]:
    return {
        "view": view,
        "settings": view.settings,
        "href": queue_address(view.name),
        "waiting": _shown(view, "available"),
        "later": _shown(view, *_LATER),
        "states": [(state, _shown(view, state)) for state in LIVE_STATES],
        "running": view.now.running,
        "oldest_seconds": view.now.oldest_due_seconds,
        "rate": view.settings["rate"],
        "rate_used": rate_used,
        "ends": ends,
        "pause": view.pause and _pause(view.pause, actors),
    }


def _pause(pause: Pause, actors: Mapping[str, str]) -> dict[str, Any]:
    who = show_actor(pause.by_type, pause.by_id, actors) if pause.by_type and pause.by_id else ""
    return {"at": pause.at, "who": who, "reason": pause.reason or ""}


def _shown(view: QueueView, *states: str) -> str:
    count = sum(view.now.jobs[state] for state in states)
    return show_capped(CappedCount(count, any(state in view.now.more for state in states)))
