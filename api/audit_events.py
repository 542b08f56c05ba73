"""The operation that lists what people, API keys and the operator did."""

from __future__ import annotations

from dataclasses import asdict

from rest_framework.request import Request
from rest_framework.response import Response

from api.queries import read_audit_query
from api.views import ApiView
from jobservice.cursors import CursorScope
from tenants.audit_lists import list_audit_events, represent_audit_event

# A position in a cursor.
_SEQ_BYTES = 16


class ListAuditEvents(ApiView):
    """It tells of every queue, so a key limited to some may not."""

    required_scopes = frozenset({"audit:read"})
    needs_every_queue = True

    def get(self, request: Request) -> Response:
        """A page of events, the newest first."""
        filters, paging = read_audit_query(request)
        tenant_id = self.credential.tenant_id
        wanted = {name: str(value) for name, value in asdict(filters).items()}
        scope = CursorScope(tenant_id, "audit-events", wanted)
        before = None if paging.cursor is None else int.from_bytes(scope.read(paging.cursor), "big")
        found = list_audit_events(tenant_id, filters, limit=paging.limit + 1, before=before)
        shown = found[: paging.limit]
        next_cursor = scope.show(shown[-1].seq.to_bytes(_SEQ_BYTES, "big")) if len(found) > paging.limit else None
        return Response({"data": [represent_audit_event(event) for event in shown], "next_cursor": next_cursor})
