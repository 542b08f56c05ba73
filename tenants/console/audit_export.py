"""The audit log as a file: all that the filters of the address find, a line of JSON for each event, the newest first.

It is written while it is read, a few hundred events in a transaction of their own, so that a log of any length takes no
more memory than a page. What is written down meanwhile is newer and not in it. To export is to read, which is no act of
its own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import ClassVar
from uuid import UUID
from weakref import WeakSet

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _

from jobservice.errors import Invalid, TooManyTries
from tenants.audit_lists import AuditFilters, list_audit_events, represent_audit_event
from tenants.console.access import ConsoleView
from tenants.console.audit import read_filters
from tenants.roles import AUDIT

EVENTS_AT_ONCE = 500
# Each holds a thread of the web process until its reader has all of it.
MOST_AT_ONCE = 2
RETRY_SECONDS = 5


class ExportAuditLog(ConsoleView):
    permission = AUDIT

    def get(self, request: HttpRequest) -> HttpResponseBase:
        _query, filters, faults = read_filters(request)
        if faults:
            raise Invalid(faults)
        answer = StreamingHttpResponse(_Export(self.person.tenant_id, filters), content_type="application/x-ndjson")
        answer["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
        return answer


class _Export:
    """Lines, some hundred at a time. The server closes it when the last one is sent, or its reader is gone.

    What fails on the way breaks the answer off, so that no browser takes half a log for a whole one.
    """

    _lock: ClassVar = threading.Lock()
    # Weak: one whose answer is given up before it is sent, as of a session that ends meanwhile, is closed by nobody.
    _under_way: ClassVar[WeakSet[_Export]] = WeakSet()

    def __init__(self, tenant_id: UUID, filters: AuditFilters) -> None:
        """Raises `TooManyTries` while the tenant has one under way in this process, or all have too many."""
        self._tenant_id, self._filters = tenant_id, filters
        with self._lock:
            others = [one._tenant_id for one in self._under_way]
            if tenant_id in others or len(others) >= MOST_AT_ONCE:
                text = _("Another export is under way. Try again when it is done.")
                raise TooManyTries(text, retry_seconds=RETRY_SECONDS)
            self._under_way.add(self)

    def __iter__(self) -> Iterator[str]:
        before: int | None = None
        while events := list_audit_events(self._tenant_id, self._filters, limit=EVENTS_AT_ONCE, before=before):
            yield "".join(f"{json.dumps(represent_audit_event(event), ensure_ascii=False)}\n" for event in events)
            if len(events) < EVENTS_AT_ONCE:
                return
            before = events[-1].seq

    def close(self) -> None:
        with self._lock:
            self._under_way.discard(self)
