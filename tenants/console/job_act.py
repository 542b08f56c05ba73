"""Acts on one job: each a POST of its own, each by the verb that the API has for it."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.errors import Conflict, Invalid, QuotaExceeded
from jobservice.ids import DELIVERY, parse_id
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.erase import erase_job
from jobservice.jobs.retry import retry_job
from jobservice.jobs.selectors import PARTS, find_job
from jobservice.webhooks.delivery_lists import read_delivery, unknown_delivery
from jobservice.webhooks.delivery_retry import retry_delivery
from tenants.console.access import ConsoleView
from tenants.console.endpoint_rows import tell_sent
from tenants.console.job import job_context, read_job_id, unknown_job
from tenants.console.notices import tell
from tenants.console.shown_json import cut_json
from tenants.console.tenant_limits import read_quotas
from tenants.quotas import volume_limits
from tenants.roles import ACT, ERASE, REVEAL


class _ActOnJob(ConsoleView):
    """Does it, and shows the job again with what came of it."""

    def post(self, request: HttpRequest, job_id: str) -> HttpResponseBase:
        wanted = read_job_id(job_id)
        try:
            tell(request, "success", self.act(wanted))
        except (Conflict, Invalid, QuotaExceeded) as refusal:
            # The job moved on while somebody looked at it, or there is no room: no page of error for that.
            faults = [fault.detail for fault in refusal.faults] if isinstance(refusal, Invalid) else [refusal.detail]
            tell(request, "warning", " ".join(faults))
        return HttpResponseRedirect(self.next_page(job_id))

    def act(self, job_id: UUID) -> str:
        """Do it; what to say of it."""
        raise NotImplementedError

    def next_page(self, job_id: str) -> str:
        return reverse("console-JobPage", kwargs={"job_id": job_id})


class RetryJob(_ActOnJob):
    permission = ACT

    def act(self, job_id: UUID) -> str:
        tenant_id = self.person.tenant_id
        retry_job(tenant_id, job_id, limits=volume_limits(read_quotas(tenant_id)))
        return _("It is available again.")


class CancelJob(_ActOnJob):
    permission = ACT

    def act(self, job_id: UUID) -> str:
        job = cancel_job(self.person.tenant_id, job_id)
        return _("Its run was asked to stop.") if job["cancel_requested"] else _("It is cancelled.")


class RunJobNow(_ActOnJob):
    permission = ACT

    def act(self, job_id: UUID) -> str:
        change_job(self.person.tenant_id, job_id, JobChange(delay_seconds=0))
        return _("It is due now.")


class EraseJob(_ActOnJob):
    permission = ERASE
    step_up = True

    def act(self, job_id: UUID) -> str:
        erase_job(self.person.tenant_id, job_id)
        return _("The job and all its data are erased.")

    def next_page(self, job_id: str) -> str:
        return reverse("console-JobList")


class ReplayDelivery(ConsoleView):
    permission = ACT

    def post(self, request: HttpRequest, job_id: str, delivery_id: str) -> HttpResponseBase:
        """Send a delivery of the job's again, or at once."""
        wanted, tenant_id = parse_id(DELIVERY, delivery_id), self.person.tenant_id
        found = None if wanted is None else read_delivery(tenant_id, wanted)
        if wanted is None or found is None or found.job_id != read_job_id(job_id):
            raise unknown_delivery()
        try:
            tell_sent(request, retry_delivery(tenant_id, wanted))
        except Conflict as refusal:
            tell(request, "warning", refusal.detail)
        return HttpResponseRedirect(reverse("console-JobPage", kwargs={"job_id": job_id}))


class RevealParts(ConsoleView):
    """What is sealed of a job, opened: by a POST, so that no link, no history and no preview opens it; it is written
    into the audit log who did."""

    permission = REVEAL

    def post(self, request: HttpRequest, job_id: str) -> HttpResponseBase:
        wanted = read_job_id(job_id)
        found = find_job(self.person.tenant_id, wanted, include=PARTS)
        if found is None:
            raise unknown_job()
        parts = {}
        for name in PARTS:
            text, is_cut = cut_json(found.parts[name].decode())
            parts[name] = {"text": text, "is_cut": is_cut, "is_none": text == "null"}
        context = {**job_context(request, self.person, wanted), "parts": parts, "is_revealed": True}
        return render(request, "console/job.html", context)
