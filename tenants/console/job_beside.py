"""What stands beside a job: how others of its type went, and, for who may read the audit log, what was done to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.jobs.selectors import list_latest_of_type
from tenants.actor_names import name_actors
from tenants.audit_catalogue import ACTIONS
from tenants.audit_lists import AuditFilters, list_audit_events, represent_audit_event
from tenants.console.actors import show_actor
from tenants.console.addresses import jobs_address, with_query
from tenants.console.job_rows import job_facts, job_rows
from tenants.console.person import Person
from tenants.models import AuditEvent
from tenants.roles import AUDIT

MOST_OF_TYPE = 10
MOST_ACTS = 10


def beside_job(person: Person, job_id: UUID, job: Mapping[str, Any]) -> dict[str, Any]:
    """Of `job`, as the API shows it. Both lists are short, and each is read from the end of an index."""
    latest = list_latest_of_type(person.tenant_id, job["type"], other_than=job_id, limit=MOST_OF_TYPE)
    may_audit = person.may(AUDIT)
    acts = _find_acts(person.tenant_id, job["id"]) if may_audit else []
    return {
        "href": reverse("console-JobBeside", kwargs={"job_id": job["id"]}),
        "history": job_rows(latest, now=datetime.now(UTC)),
        "history_href": jobs_address([("type", job["type"])]),
        "may_audit": may_audit,
        "acts": acts[:MOST_ACTS],
        "acts_href": with_query(reverse("console-AuditLog"), {"object": job["id"]}),
        "has_more_acts": len(acts) > MOST_ACTS,
    }


def beside_facts(beside: Mapping[str, Any]) -> list[object]:
    """What changes of it."""
    history = (row["job"] for row in beside["history"])
    return [job_facts(history, now=datetime.now(UTC)), [act["id"] for act in beside["acts"]]]


def _find_acts(tenant_id: UUID, shown_id: str) -> list[dict[str, Any]]:
    events = list_audit_events(tenant_id, AuditFilters(object=shown_id), limit=MOST_ACTS + 1)
    names = name_actors(tenant_id, {event.actor_id for event in events})
    return [_act(event, names) for event in events]


def _act(event: AuditEvent, names: Mapping[str, str]) -> dict[str, Any]:
    shown = represent_audit_event(event)
    after = shown["after"] or {}
    told = after.get("parts") or after.get("changed") or after.get("outcome") or ""
    return {
        "id": shown["id"],
        "at": event.at,
        "who": show_actor(event.actor_type, event.actor_id, names),
        "action": event.action,
        "words": _(ACTIONS[event.action]) if event.action in ACTIONS else "",
        "told": told if isinstance(told, str) else ", ".join(map(str, told)),
    }
