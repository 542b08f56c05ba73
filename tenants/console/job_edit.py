"""Retry with an edited payload: its editor, opened by an audited look at the payload, and the form that it sends.

Both take the right to act and the right to see payloads. What was typed is shown again when it is refused; the payload
itself is opened by the first step only. A form has one key for all its life, so that it makes one job however often it
is sent; only what was typed anew after that job was made is another request, and gets another key.
"""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.errors import Conflict, EgressRefused, Fault, Invalid, JobserviceError, QuotaExceeded, UnknownJobType
from jobservice.jobs.erase import JobNotTerminal
from jobservice.jobs.idempotency import IdempotencyKeyInUse, IdempotencyKeyReused
from jobservice.jobs.retry_edited import retry_edited
from jobservice.jobs.selectors import find_job, is_over
from jobservice.jobs.submission import PayloadTooLarge
from jobservice.jobs.unique_claims import UniqueConflict
from jobservice.strict_json import MalformedJson, read_json
from tenants.console.access import ConsoleView
from tenants.console.job import read_job_id, unknown_job
from tenants.console.job_rows import short_id
from tenants.console.notices import tell
from tenants.console.shown_json import indent_json
from tenants.console.tenant_limits import read_quotas
from tenants.roles import ACT, REVEAL

# What the form may send: bytes, as browsers write them. A payload that takes more than the first is not edited here,
# so that there is room for what is typed.
_EDITABLE_BYTES = 384 * 1024
_FORM_BYTES = 1024 * 1024
_KEY_CHARACTERS = 64
# A form that is sent again while the first is at work waits for its job so long, and looks so often.
WAIT_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_POINTER = "/payload"
# Refusals that are shown beside the field, with what was typed.
_STATUSES: dict[type[JobserviceError], int] = {
    MalformedJson: 422,
    Invalid: 422,
    EgressRefused: 422,
    PayloadTooLarge: 422,
    UnknownJobType: 422,
    Conflict: 409,
    IdempotencyKeyInUse: 409,
    IdempotencyKeyReused: 409,
    QuotaExceeded: 429,
}


class EditPayload(ConsoleView):
    """The editor. By a POST, so that no link, no history and no preview opens a payload."""

    permission = REVEAL
    second_permission = ACT

    def post(self, request: HttpRequest, job_id: str) -> HttpResponseBase:
        wanted, tenant_id = read_job_id(job_id), self.person.tenant_id
        is_ended = is_over(tenant_id, wanted)
        if is_ended is False:
            raise JobNotTerminal(_("The job is not over; cancel it first, or it would run with both payloads."))
        found = find_job(tenant_id, wanted, include=("payload",)) if is_ended else None
        if found is None:
            raise unknown_job()
        text = _editable(found.parts["payload"].decode())
        return _show(request, found.job, text or "", key=_new_key(), is_too_large=text is None)


class RetryEdited(ConsoleView):
    permission = ACT
    second_permission = REVEAL
    body_limit = _FORM_BYTES

    def post(self, request: HttpRequest, job_id: str) -> HttpResponseBase:
        """Make the new job, or show what was typed again with what is wrong about it."""
        wanted, typed = read_job_id(job_id), request.POST.get("payload", "")
        key = request.POST.get("key", "")[:_KEY_CHARACTERS] or _new_key()
        try:
            made = self._make(wanted, typed, key)
        except tuple(_STATUSES) as refusal:
            # Another key while this one's job may still be made would make a second one.
            key = _new_key() if isinstance(refusal, IdempotencyKeyReused) else key
            return self._show_again(request, wanted, typed, refusal, key=key)
        tell(request, "success", _("This is the new job, with the edited payload."))
        return HttpResponseRedirect(reverse("console-JobPage", kwargs={"job_id": made}))

    def _make(self, job_id: UUID, typed: str, key: str) -> str:
        tenant_id = self.person.tenant_id
        if is_over(tenant_id, job_id) is None:
            # Before anything is said of what was typed: another tenant's job is as unknown.
            raise unknown_job()
        value = read_json(typed.encode(), named=_("The payload"))
        quotas, until = read_quotas(tenant_id), time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return retry_edited(tenant_id, job_id, value, key=key, quotas=quotas)
            except IdempotencyKeyInUse:
                # A double click. No transaction is open meanwhile.
                if time.monotonic() >= until:
                    raise
                time.sleep(_LOOK_SECONDS)

    def _show_again(
        self, request: HttpRequest, job_id: UUID, typed: str, refusal: JobserviceError, *, key: str
    ) -> HttpResponse:
        found = find_job(self.person.tenant_id, job_id)
        if found is None:
            raise unknown_job()
        status = next(status for kind, status in _STATUSES.items() if isinstance(refusal, kind))
        holder = refusal.existing_id if isinstance(refusal, UniqueConflict) else None
        return _show(request, found.job, typed, key=key, faults=_faults(refusal), holder=holder, status=status)


def _faults(refusal: JobserviceError) -> list[Fault]:
    """What is wrong, and where in the payload: the pointers are from its root, as the editor shows nothing else."""
    faults = refusal.faults if isinstance(refusal, Invalid) else [Fault("", refusal.code, refusal.detail)]
    return [Fault(fault.pointer.removeprefix(_POINTER), fault.code, fault.detail) for fault in faults]


def _show(request: HttpRequest, job: dict[str, Any], text: str, *, status: int = 200, **found: Any) -> HttpResponse:
    context = {"job": job, "short_id": short_id(job["id"]), "text": text, **found}
    return render(request, "console/job_edit.html", context, status=status)


def _editable(text: str) -> str | None:
    """The payload as it is edited: laid out while that can be sent back; None when it is too large to be."""
    if len(text) > _EDITABLE_BYTES:
        return None
    layouts = (indent_json(text), text)
    return next((layout for layout in layouts if _sent_bytes(layout) <= _EDITABLE_BYTES), None)


def _sent_bytes(text: str) -> int:
    return len(quote_plus(text.replace("\n", "\r\n")))


def _new_key() -> str:
    return secrets.token_urlsafe(16)
