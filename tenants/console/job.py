"""One job in full: its life, why it waits, its attempts, its deliveries. What was sent with it stays hidden."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from jobservice.errors import NotFound
from jobservice.ids import DELIVERY, ENDPOINT, JOB, parse_id, show_id
from jobservice.jobs.retry import RETRIED_STATES
from jobservice.jobs.retry_edited import list_followers
from jobservice.jobs.selectors import find_job, has_job
from jobservice.jobs.states import FINAL_STATES
from jobservice.jobs.timeline import list_attempts, list_latest_events
from jobservice.webhooks.delivery_lists import DeliveryView, list_job_deliveries
from tenants.console.access import ConsoleView
from tenants.console.curl import show_curl
from tenants.console.job_beside import beside_facts, beside_job
from tenants.console.job_rows import short_id, wait_minutes, wait_ms
from tenants.console.job_story import tell_phases, tell_steps
from tenants.console.live import answer_part
from tenants.console.shown_json import answer_json
from tenants.console.times import between, parse_moment
from tenants.roles import ACT, ERASE, READ, REVEAL

# So much of a long life is shown, the latest: a job has few attempts, but may have been retried for years.
MOST_ATTEMPTS = 25
MOST_EVENTS = 200
MOST_DELIVERIES = 25
MOST_FOLLOWERS = 10


class JobPage(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest, job_id: str) -> HttpResponseBase:
        return render(request, "console/job.html", job_context(request, self.person, read_job_id(job_id)))


class JobLive(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest, job_id: str) -> HttpResponseBase:
        context = job_context(request, self.person, read_job_id(job_id))
        facts = [context["job"], context["attempts"], [delivery["facts"] for delivery in context["deliveries"]]]
        facts += [context["has_origin"], context["followers"], wait_minutes(context["job"], now=datetime.now(UTC))]
        return answer_part(request, "console/parts/job_body.html", context, facts=facts)


class JobBeside(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest, job_id: str) -> HttpResponseBase:
        wanted = read_job_id(job_id)
        found = find_job(self.person.tenant_id, wanted)
        if found is None:
            raise unknown_job()
        beside = beside_job(self.person, wanted, found.job)
        return answer_part(request, "console/parts/job_beside.html", {"beside": beside}, facts=beside_facts(beside))


class JobPageJson(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest, job_id: str) -> HttpResponseBase:
        """The job as the API shows it, without its parts."""
        found = find_job(self.person.tenant_id, read_job_id(job_id))
        if found is None:
            raise unknown_job()
        back = reverse("console-JobPage", kwargs={"job_id": job_id})
        return answer_json(request, found.job, title=short_id(job_id), back=back)


def job_context(request: HttpRequest, person: Any, job_id: UUID) -> dict[str, Any]:
    """What the page of a job shows. Raises `NotFound`."""
    tenant_id, now = person.tenant_id, datetime.now(UTC)
    found = find_job(tenant_id, job_id)
    attempts = list_attempts(tenant_id, job_id, limit=MOST_ATTEMPTS)
    events = list_latest_events(tenant_id, job_id, limit=MOST_EVENTS)
    if found is None or attempts is None or events is None:
        raise unknown_job()
    job = found.job
    return {
        "job": job,
        "short_id": short_id(job["id"]),
        "wait_ms": wait_ms(job, now=now),
        "steps": tell_steps(job, attempts.data, events),
        "phases": tell_phases(job, now=now),
        "attempts": [_show_attempt(attempt) for attempt in attempts.data],
        "has_more_attempts": attempts.next_cursor is not None,
        "deliveries": [_show_delivery(one) for one in list_job_deliveries(tenant_id, job_id, limit=MOST_DELIVERIES)],
        "is_over": job["state"] in FINAL_STATES,
        "has_origin": job["retry_of"] is not None and has_job(tenant_id, read_job_id(job["retry_of"])),
        "followers": list_followers(tenant_id, job_id, limit=MOST_FOLLOWERS),
        "curl": show_curl(request, f"/v1/jobs/{job['id']}"),
        # Not looked for by the part that stays fresh, which does not show it.
        "beside": SimpleLazyObject(partial(beside_job, person, job_id, job)),
        **_rights(person, job),
    }


def read_job_id(text: str) -> UUID:
    """The id in an address. Raises the same `NotFound` for what is none, as for an unknown and for another tenant's."""
    job_id = parse_id(JOB, text)
    if job_id is None:
        raise unknown_job()
    return job_id


def unknown_job() -> NotFound:
    return NotFound("There is no job of this id.")


def _rights(person: Any, job: dict[str, Any]) -> dict[str, bool]:
    """Which acts are offered; whether one is done, the domain decides."""
    may_act = person.may(ACT)
    is_over = job["state"] in FINAL_STATES
    return {
        "may_retry": may_act and job["state"] in RETRIED_STATES,
        "may_cancel": may_act and not is_over and not job["cancel_requested"],
        "may_run_now": may_act and job["state"] in ("scheduled", "retryable"),
        "may_erase": person.may(ERASE) and is_over,
        "may_reveal": person.may(REVEAL),
        "may_edit": may_act and person.may(REVEAL) and is_over,
        "may_replay": may_act,
    }


def _show_attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    started, ended = attempt["started_at"], attempt["finished_at"]
    took = between(parse_moment(started), parse_moment(ended)) if started and ended else None
    return {**attempt, "took_ms": took}


def _show_delivery(view: DeliveryView) -> dict[str, Any]:
    """Ids as people see them, and the facts that change."""
    return {
        "view": view,
        "id": show_id(DELIVERY, view.id),
        "endpoint_id": None if view.endpoint_id is None else show_id(ENDPOINT, view.endpoint_id),
        "last": view.attempts[0] if view.attempts else None,
        "may_replay": view.state in ("delivered", "failed", "pending"),
        "facts": [str(view.id), view.state, view.attempt, len(view.attempts)],
    }
