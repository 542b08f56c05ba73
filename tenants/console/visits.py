"""An operator's visit to a tenant's console: for a while, for a reason, to look and to change nothing.

A visitor sees what a viewer sees. Every method but GET and HEAD is refused before any page is asked (visit_gate.py),
the end of the visit, the logout and cookies of the browser apart, so that nothing is revealed either: each reveal is
a POST. Begin and end are in the tenant's log. What ends by itself is over at `until`, which the begin says; its end
is written when the operator's browser asks for something next.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from django.utils.translation import gettext as _

from jobservice.errors import NotFound
from jobservice.ids import TENANT, show_id
from tenants.acting import acting_as
from tenants.audit import note_act
from tenants.console.actors import operator_actor
from tenants.console.session_store import ACCOUNT
from tenants.context import tenant_tx
from tenants.models import Tenant
from tenants.standing import Membership, Standing
from tenants.tenancy import ERASED

VISIT_SECONDS = 1800
# The key of a session, and what is under it.
VISIT = "visit"
ROLE = "viewer"


@dataclass(frozen=True, slots=True)
class Visit:
    """Whose console it is, and until when."""

    tenant_id: UUID
    tenant_name: str
    until: datetime
    membership: Membership

    @property
    def shown_id(self) -> str:
        return show_id(TENANT, self.tenant_id)


def begin_visit(request: HttpRequest, account_id: UUID, tenant_id: UUID, *, reason: str) -> None:
    """Turn the session to the tenant, and write that into its log. Raises `NotFound`."""
    end_visit(request)
    _turn(request)
    until = datetime.fromtimestamp(int(time.time()) + VISIT_SECONDS, UTC)
    with tenant_tx(tenant_id), acting_as(operator_actor(request, account_id)):
        if not Tenant.objects.filter(id=tenant_id).exclude(status=ERASED).exists():
            raise NotFound(_("There is no such tenant."))
        after = {"reason": reason, "until": until}
        note_act(tenant_id, "tenant.visit-begun", show_id(TENANT, tenant_id), after=after)
    # After the commit: no visit without its event.
    request.session[VISIT] = {"tenant": str(tenant_id), "until": until.timestamp()}


def end_visit(request: HttpRequest) -> UUID | None:
    """End the session's visit, if there is one, and write that into the tenant's log; whose console it was."""
    kept, account = request.session.get(VISIT), request.session.get(ACCOUNT)
    if kept is None or account is None:
        return None
    tenant_id = UUID(kept["tenant"])
    _turn(request)
    with tenant_tx(tenant_id), acting_as(operator_actor(request, UUID(account))):
        # Of a tenant that was erased meanwhile the log has ended.
        if Tenant.objects.filter(id=tenant_id).exclude(status=ERASED).exists():
            note_act(tenant_id, "tenant.visit-ended", show_id(TENANT, tenant_id))
    del request.session[VISIT]
    return tenant_id


def _turn(request: HttpRequest) -> None:
    """Under another key, so that no request that is under way writes back what the session was.

    Of two that end a visit at once the second is interrupted here, before it writes anything down.
    """
    request.session.cycle_key()
    rotate_token(request)


def find_visit(request: HttpRequest, standing: Standing) -> Visit | None:
    """The visit that the session is on; None without one, and for whoever is no operator any more."""
    kept = request.session.get(VISIT)
    if kept is None or not standing.is_staff or not standing.has_factor:
        return None
    tenant_id, until = UUID(kept["tenant"]), float(kept["until"])
    if time.time() >= until:
        return None
    with tenant_tx(tenant_id):
        tenant = Tenant.objects.filter(id=tenant_id).exclude(status=ERASED).first()
    if tenant is None:
        return None
    # A member of nobody's: the id names the account, and no page that a visitor reaches writes it down.
    membership = Membership(
        member_id=standing.account_id,
        tenant_id=tenant_id,
        tenant_name=tenant.name,
        tenant_status=tenant.status,
        require_mfa=False,
        role=ROLE,
        may_read_payloads=False,
    )
    return Visit(tenant_id, tenant.name, datetime.fromtimestamp(until, UTC), membership)


def is_visit_over(request: HttpRequest, visit: Visit | None) -> bool:
    """Whether the session was on a visit that is one no more."""
    return visit is None and VISIT in request.session
