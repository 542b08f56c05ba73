"""The first steps of a tenant, each ticked by what there is; shown until all are done, or until somebody hides them.

Hidden is a choice of a browser, as colours are: a cookie holds for which tenants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils.translation import gettext as _

from jobservice.ids import TENANT, show_id
from jobservice.jobs.bulk_actions import list_bulk_actions
from jobservice.jobs.error_group_reads import ErrorFilters, list_error_groups
from jobservice.jobs.overview import CappedCount
from jobservice.webhooks.delivery_lists import DeliveryFilters, list_deliveries
from jobservice.webhooks.endpoints import list_endpoints
from tenants.api_key_changes import list_api_keys
from tenants.audit_lists import AuditFilters, list_audit_events
from tenants.console import places
from tenants.console.access import ConsoleView
from tenants.console.curl import show_post
from tenants.console.person import Person
from tenants.console.preferences import keep_cookie
from tenants.console.shell import find_address
from tenants.member_changes import list_members
from tenants.roles import ACT, KEYS, MEMBERS, READ, WEBHOOKS

HIDDEN = "console-steps"
# A cookie holds no more of them; then the first one is forgotten.
_MOST_TENANTS = 20
# Of so many endpoints, the newest, deliveries are looked for.
_ENDPOINTS = 5
_FAILING = '{"type": "fail", "payload": {}, "max_attempts": 1}'


@dataclass(frozen=True, slots=True)
class Step:
    """`href` is where it is done, `curl` how; `permission` is what doing it needs."""

    name: str
    permission: str
    is_done: bool
    href: str | None = None
    curl: str = ""
    sends_test_job: bool = False


class HideFirstSteps(ConsoleView):
    permission = READ

    def post(self, request: HttpRequest) -> HttpResponseBase:
        answer = HttpResponseRedirect(places.HOME)
        hide_steps(request, answer, self.person.tenant_id)
        return answer


def are_hidden(request: HttpRequest, tenant_id: UUID) -> bool:
    return show_id(TENANT, tenant_id) in _hidden(request)


def hide_steps(request: HttpRequest, answer: HttpResponseBase, tenant_id: UUID) -> None:
    shown = show_id(TENANT, tenant_id)
    kept = [one for one in _hidden(request) if one != shown][-(_MOST_TENANTS - 1) :]
    keep_cookie(request, answer, HIDDEN, ".".join([*kept, shown]))


def find_steps(request: HttpRequest, person: Person, counts: Mapping[str, CappedCount]) -> list[Step]:
    """Those that the person may take. Each is a look at a few rows, however many there are."""
    return [step for step in _all_steps(request, person.tenant_id, counts) if step.permission in person.permissions]


def _all_steps(request: HttpRequest, tenant_id: UUID, counts: Mapping[str, CappedCount]) -> list[Step]:
    jobs = find_address("console-JobList")
    return [
        Step(_("Send a job"), ACT, any(one.count for one in counts.values()), jobs, sends_test_job=True),
        Step(_("See it done"), ACT, counts["completed"].count > 0, jobs),
        Step(
            _("Let one fail, and retry it"),
            ACT,
            _has_retried(tenant_id),
            find_address("console-ErrorList"),
            show_post(request, "/v1/jobs", _FAILING),
        ),
        Step(
            _("Add a webhook, and see a delivery"),
            WEBHOOKS,
            _has_delivered(tenant_id),
            find_address("console-EndpointList"),
        ),
        Step(_("Make an API key"), KEYS, _has_made_key(tenant_id), find_address("console-KeyList")),
        Step(_("Invite someone"), MEMBERS, len(list_members(tenant_id)) > 1, find_address("console-ListMembers")),
    ]


def _has_retried(tenant_id: UUID) -> bool:
    """Something has failed, and something was retried by somebody."""
    if not list_error_groups(tenant_id, ErrorFilters(), limit=1).data:
        return False
    if list_audit_events(tenant_id, AuditFilters(action="job.retried"), limit=1):
        return True
    return bool(list_bulk_actions(tenant_id, queues=None, limit=1, actions=("retry",)).data)


def _has_delivered(tenant_id: UUID) -> bool:
    wanted = DeliveryFilters(state="delivered")
    endpoints = list_endpoints(tenant_id, limit=_ENDPOINTS).data
    return any(list_deliveries(tenant_id, one.id, filters=wanted, limit=1).data for one in endpoints)


def _has_made_key(tenant_id: UUID) -> bool:
    """One beside the key that the tenant was made with."""
    return len(list_api_keys(tenant_id, limit=2)) > 1


def _hidden(request: HttpRequest) -> list[str]:
    found: list[str] = request.COOKIES.get(HIDDEN, "").split(".")[: _MOST_TENANTS + 1]
    return [one for one in found if one]


def show_steps(steps: list[Step]) -> dict[str, Any]:
    return {"steps": steps, "steps_done": sum(step.is_done for step in steps)}
