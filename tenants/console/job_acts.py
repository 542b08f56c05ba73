"""Acts on many jobs: those that were selected, or all that a search finds. Each is counted and asked about first.

Selected ones are acted on one by one, by the verbs of a single job; all that match become a bulk action, which goes on
in the background and can be followed and aborted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jobservice.errors import Conflict, Fault, Invalid, NotFound, QuotaExceeded
from jobservice.ids import BULK_ACTION, JOB, parse_id, show_id
from jobservice.jobs.accept import accept_job
from jobservice.jobs.bulk_action_request import MAX_JOBS, BulkActionRequest
from jobservice.jobs.bulk_actions import Lease, make_bulk_action
from jobservice.jobs.bulk_runner import wake_bulk_runner
from jobservice.jobs.bulk_turns import serve_turn
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.erase import erase_job
from jobservice.jobs.retry import retry_job
from jobservice.jobs.selectors import count_matching_jobs
from jobservice.jobs.submission import SubmissionLimits, parse_submission
from tenants.console.access import ConsoleView
from tenants.console.job_query import JobQuery, parse_query
from tenants.console.jobs import PAGE_SIZE
from tenants.console.notices import tell
from tenants.console.tenant_limits import read_quotas
from tenants.quotas import limit_of, volume_limits
from tenants.roles import ACT, ERASE

# More than so many are acted on only when their number was typed.
TYPED_FROM = 1000
# A small bulk action is waited for.
_WAIT_SECONDS = 3.0


class _ActOnJobs(ConsoleView):
    """Asks about the act, and does it when it was confirmed."""

    action: ClassVar[str]
    title: ClassVar[str | Promise]
    warning: ClassVar[str | Promise] = ""
    icon: ClassVar[str]

    def post(self, request: HttpRequest) -> HttpResponseBase:
        query = parse_query(request.POST.get("q", ""), now=datetime.now(UTC))
        if request.POST.get("all"):
            return self._on_all(request, query)
        wanted = list(
            dict.fromkeys(i for text in request.POST.getlist("job")[:PAGE_SIZE] if (i := parse_id(JOB, text)))
        )
        if not wanted:
            tell(request, "warning", _("No job was selected."))
            return HttpResponseRedirect(_list_address(query))
        if not request.POST.get("confirmed"):
            return self._ask(request, query, count=len(wanted), job_ids=wanted)
        return self._on_selected(request, query, wanted)

    def act(self, job_id: UUID) -> None:
        """The verb of a single job."""
        raise NotImplementedError

    def _on_selected(self, request: HttpRequest, query: JobQuery, wanted: list[UUID]) -> HttpResponseBase:
        done, refusals = 0, []
        for job_id in wanted:
            try:
                self.act(job_id)
                done += 1
            except (Conflict, NotFound, QuotaExceeded) as refusal:
                refusals.append(refusal.detail)
        say = ngettext("%(title)s: done for %(done)s job.", "%(title)s: done for %(done)s jobs.", done)
        text = say % {"title": self.title, "done": done}
        if refusals:
            text += " " + _("Not for %(count)s: %(reason)s") % {"count": len(refusals), "reason": refusals[0]}
        tell(request, "warning" if refusals else "success", text)
        return HttpResponseRedirect(_list_address(query))

    def _on_all(self, request: HttpRequest, query: JobQuery) -> HttpResponseBase:
        if query.faults or not query.is_filtered:
            raise Invalid([Fault("/q", "required", _("Search for some jobs first: not all of the tenant's at once."))])
        count = count_matching_jobs(self.person.tenant_id, query.filters, limit=MAX_JOBS)
        if not request.POST.get("confirmed") or not count:
            return self._ask(request, query, count=count)
        if count > TYPED_FROM and _number(request, "typed") != _number(request, "counted"):
            return self._ask(request, query, count=count, fault=_("That is not the number. Nothing was done."))
        return self._begin(request, query)

    def _begin(self, request: HttpRequest, query: JobQuery) -> HttpResponseBase:
        wish = BulkActionRequest(self.action, query.filters, MAX_JOBS)
        made = make_bulk_action(self.person.tenant_id, wish, queues=None)
        if isinstance(made, Lease):
            serve_turn(made, max_seconds=_WAIT_SECONDS)
        wake_bulk_runner()
        action_id = made.action_id if isinstance(made, Lease) else made
        return HttpResponseRedirect(
            reverse("console-BulkActionPage", kwargs={"action_id": show_id(BULK_ACTION, action_id)})
        )

    def _ask(
        self, request: HttpRequest, query: JobQuery, *, count: int, job_ids: list[UUID] | None = None, fault: str = ""
    ) -> HttpResponseBase:
        context: dict[str, Any] = {
            "title": self.title,
            "warning": self.warning,
            "icon": self.icon,
            "action": self.action,
            "count": count,
            "is_capped": count >= MAX_JOBS,
            "job_ids": [show_id(JOB, job_id) for job_id in job_ids or ()],
            "is_all": job_ids is None,
            "is_typed": job_ids is None and count > TYPED_FROM,
            # What is confirmed is what was counted, however long the question stands.
            "search_text": query.text if job_ids else query.at_fixed_times,
            "fault": fault,
            "back": _list_address(query),
        }
        return render(request, "console/confirm.html", context, status=422 if fault else 200)


class RetryJobs(_ActOnJobs):
    permission = ACT
    action = "retry"
    title = gettext_lazy("Retry")
    icon = "rotate-cw"

    def act(self, job_id: UUID) -> None:
        tenant_id = self.person.tenant_id
        retry_job(tenant_id, job_id, limits=volume_limits(read_quotas(tenant_id)))


class CancelJobs(_ActOnJobs):
    permission = ACT
    action = "cancel"
    title = gettext_lazy("Cancel")
    warning = gettext_lazy("Those that run are asked to stop, and what they came to is not taken.")
    icon = "ban"

    def act(self, job_id: UUID) -> None:
        cancel_job(self.person.tenant_id, job_id)


class EraseJobs(_ActOnJobs):
    permission = ERASE
    step_up = True
    action = "delete"
    title = gettext_lazy("Erase")
    warning = gettext_lazy("The jobs and all their data are gone for good. Only those that are over can be erased.")
    icon = "trash-2"

    def act(self, job_id: UUID) -> None:
        erase_job(self.person.tenant_id, job_id)


class SendTestJob(ConsoleView):
    permission = ACT

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """A job of the built-in type `echo`, to see one go through."""
        tenant_id, quotas = self.person.tenant_id, read_quotas(self.person.tenant_id)
        submission = parse_submission({"type": "echo", "payload": {"hello": "world"}}, limits=SubmissionLimits())
        job = accept_job(tenant_id, submission, max_queues=limit_of(quotas, "queues"), limits=volume_limits(quotas))
        tell(request, "success", _("A test job is on its way."))
        return HttpResponseRedirect(reverse("console-JobPage", kwargs={"job_id": job["id"]}))


def _list_address(query: JobQuery) -> str:
    path = reverse("console-JobList")
    return f"{path}?{urlencode({'q': query.text})}" if query.text else path


def _number(request: HttpRequest, field: str) -> int | None:
    """A whole number, as people write it with commas or spaces between thousands."""
    text = "".join(request.POST.get(field, "").replace(",", "").split())
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
