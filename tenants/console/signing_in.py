"""From a proof of who is there to a session: a new one at each login, another key at each proof and turn.

Between a right password and the second factor a short session without an account remembers whose the password was.
"""

from __future__ import annotations

import time
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.middleware.csrf import rotate_token

from jobservice.client_address import client_address
from jobservice.logs import log_event
from tenants.acting import acting_as
from tenants.console import places
from tenants.console.actors import member_actor
from tenants.console.session_store import ACCOUNT, ADDRESS, AGENT, EPOCH, STEPPED_UP_AT, TENANT, hash_session_key
from tenants.console.visits import end_visit
from tenants.login_sessions import forget_old_sessions
from tenants.members import note_login
from tenants.models import Account
from tenants.standing import Membership, read_standing

PENDING, PENDING_AT, PENDING_NEXT = "pending", "pending_at", "pending_next"
# A right password waits so long for its second factor.
PENDING_SECONDS = 600


def sign_in(request: HttpRequest, account_id: UUID, *, epoch: int, proof: str) -> None:
    """Begin a session of the account; whatever session there was is over. `proof` is told to the log.

    `epoch`: the account's login epoch before the proof was looked at; the session is none if it has risen since.
    """
    forget_old_sessions()
    end_visit(request)
    session = request.session
    session.flush()
    address = client_address(request)
    session[ACCOUNT] = str(account_id)
    session[EPOCH] = epoch
    session[ADDRESS] = None if address is None else str(address)
    session[AGENT] = request.headers.get("User-Agent", "")
    session[STEPPED_UP_AT] = time.time()
    rotate_token(request)
    log_event("login_succeeded", account_id=account_id, kind=proof)
    standing = read_standing(account_id)
    if standing is not None and len(standing.memberships) == 1:
        enter(request, standing.memberships[0])


def begin_second_factor(request: HttpRequest, account_id: UUID, *, epoch: int, wanted: str) -> None:
    """Remember whose password was right. The session has another key than whoever came with it knows."""
    request.session.flush()
    request.session[PENDING] = str(account_id)
    request.session[EPOCH] = epoch
    request.session[PENDING_AT] = time.time()
    request.session[PENDING_NEXT] = wanted


def pending_account(request: HttpRequest) -> UUID | None:
    """Whose password was right a moment ago, and whose proofs have not changed since."""
    pending = request.session.get(PENDING)
    is_fresh = 0 <= time.time() - float(request.session.get(PENDING_AT) or 0) <= PENDING_SECONDS
    epoch = request.session.get(EPOCH)
    if not pending or not is_fresh or epoch is None:
        return None
    of_epoch = Account.objects.filter(id=UUID(pending), login_epoch=epoch)
    return UUID(pending) if of_epoch.exists() else None


def enter(request: HttpRequest, membership: Membership) -> None:
    """Turn the session to a tenant; it has that in its log."""
    request.session[TENANT] = str(membership.tenant_id)
    if request.session.session_key is not None:
        request.session.cycle_key()
    rotate_token(request)
    with acting_as(member_actor(request, membership.member_id)):
        note_login(membership.tenant_id, membership.member_id)


def step_up(request: HttpRequest) -> None:
    """Note a fresh proof, under another key."""
    request.session[STEPPED_UP_AT] = time.time()
    request.session.cycle_key()
    rotate_token(request)


def end_own_session(request: HttpRequest) -> HttpResponseBase:
    """To the login, from a session that is over. The browser is to keep nothing of what it was shown."""
    request.session.flush()
    answer = HttpResponseRedirect(places.LOGIN)
    answer["Clear-Site-Data"] = '"cache", "storage"'
    return answer


def own_session(request: HttpRequest) -> str | None:
    """The hash of this session's key, for what ends all others."""
    key = request.session.session_key
    return None if key is None else hash_session_key(key)
