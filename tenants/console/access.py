"""Who may see a page and act on it: every page is a `ConsoleView` and says which permission its methods need.

Deny by default: a page that does not say it stops the process at its start (`check_declared_permission`). What the
permissions are, and which role has them, tenants/roles.py says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.csrf import csrf_protect

from jobservice.database import is_database_away
from jobservice.errors import JobserviceError
from jobservice.ids import TENANT as TENANT_ID
from jobservice.ids import parse_id
from tenants.acting import Actor, acting_as
from tenants.console import places
from tenants.console.actors import member_actor, operator_actor
from tenants.console.answers import Turned, find_page, refuse, refuse_away, refuse_error, refuse_unknown
from tenants.console.person import Person, is_stepped_up, know_person
from tenants.console.session_store import ACCOUNT, EPOCH, TENANT
from tenants.console.visit_gate import admit_visit, is_look
from tenants.console.visits import Visit
from tenants.operators import OperatorSession
from tenants.roles import PERMISSIONS
from tenants.standing import Membership, Standing, read_standing

# Beside the permissions of roles: everybody; whoever is logged in, for what is their own; the installation's operators.
ANYONE, OWN_ACCOUNT, STAFF = "anyone", "own-account", "staff"
DECLARABLE = frozenset({*PERMISSIONS, ANYONE, OWN_ACCOUNT, STAFF})
# Of what a page asks for by itself, again and again: the tenant that it is a page of (`live.js`).
LIVE = "Live"


@method_decorator(csrf_protect, name="dispatch")
class ConsoleView(View):
    """One page, or one act, of the console. A subclass declares `permission`: one for all its methods, or one for each
    by name. It opens no transaction by itself; the domain's verbs do.

    `second_permission`: what all its methods need besides. `step_up`: true when whoever asks must have proved who they
    are within ten minutes. `body_limit`: how many bytes a form of it may have. `has_secret_address`: whoever knows the
    address may act by it, so that it is told to nobody. `is_for_visitors`: an operator on a visit may do this, and
    nothing else: what ends the visit, and what the browser alone keeps. `is_part`: it answers a part of the page above
    it, so that nobody is led there from an act below.
    """

    permission: ClassVar[str | Mapping[str, str]]
    second_permission: ClassVar[str | None] = None
    step_up: ClassVar[bool] = False
    is_part: ClassVar[bool] = False
    body_limit: ClassVar[int] = 64 * 1024
    has_secret_address: ClassVar[bool] = False
    is_for_visitors: ClassVar[bool] = False

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.membership: Membership | None = None
        self.visit: Visit | None = None
        self.standing_or_none: Standing | None = None
        try:
            self._admit(request)
            with acting_as(self._actor(request)):
                return super().dispatch(request, *args, **kwargs)
        except Turned as turned:
            return turned.answer
        except SessionInterrupted:
            # Another request ended it, or gave it another key, while this one was under way.
            return HttpResponseRedirect(places.LOGIN)
        except JobserviceError as error:
            return refuse_error(request, error)
        except Error as error:
            if not is_database_away(error):
                raise
            return refuse_away(request, error)

    @property
    def standing(self) -> Standing:
        """Whose request it is; for pages that not everybody may see."""
        return cast(Standing, self.standing_or_none)

    @property
    def person(self) -> Person:
        """Whose request it is; for pages of a tenant."""
        return cast(Person, getattr(self.request, "person", None))

    @property
    def operator(self) -> OperatorSession:
        """Whose request it is, as the database asks for it; for pages of operators."""
        return OperatorSession(self.standing.account_id, self.request.session.session_key or "")

    def _admit(self, request: HttpRequest) -> None:
        """Raises `Turned` unless the page may be seen."""
        permission = permission_for(type(self), request.method or "")
        if permission is None:
            return
        if permission == ANYONE:
            self._admit_anyone(request)
            return
        self.standing_or_none = standing = _logged_in(request)
        if permission == STAFF and not standing.is_staff:
            raise Turned(refuse_unknown(request))
        self.visit = admit_visit(request, standing, may_act=self.is_for_visitors)
        self.membership = self.visit.membership if self.visit else _chosen(request, standing)
        if self.membership is not None:
            if self.visit is None:
                know_person(request, standing, self.membership)
            _refuse_other_tenants_page(request, self.membership)
        if permission != OWN_ACCOUNT:
            self._check(request, permission)
        if self.step_up and not is_stepped_up(request):
            raise Turned(_ask_proof(request))

    def _admit_anyone(self, request: HttpRequest) -> None:
        """Nobody need be there; but whoever is on a visit acts here as little as elsewhere."""
        if is_look(request) or self.is_for_visitors:
            return
        if (standing := standing_of(request)) is not None:
            admit_visit(request, standing, may_act=False)

    def _check(self, request: HttpRequest, permission: str) -> None:
        membership = self.membership
        if permission != STAFF and membership is None:
            is_operator = self.standing.is_staff and not self.standing.memberships
            raise Turned(HttpResponseRedirect(places.OPERATOR if is_operator else places.TENANTS))
        # Before anything of the tenant is seen, its name apart.
        if self.standing.needs_factor(membership):
            raise Turned(HttpResponseRedirect(places.FACTORS))
        if permission == STAFF or membership is None:
            return
        if membership.tenant_status != "active" and self.visit is None:
            raise Turned(refuse(request, 403, _("This tenant is suspended. Ask the operator of the service.")))
        if not all(self.person.may(needed) for needed in (permission, self.second_permission or permission)):
            raise Turned(refuse(request, 403, _("Your role in this tenant does not allow it. Ask one of its owners.")))

    def _actor(self, request: HttpRequest) -> Actor | None:
        if self.visit is not None or permission_for(type(self), request.method or "") == STAFF:
            return operator_actor(request, self.standing.account_id)
        if self.membership is None:
            return None
        return member_actor(request, self.membership.member_id)


def permission_for(view: type[ConsoleView], method: str) -> str | None:
    """What a method of a page needs; HEAD is GET, and None stands for a method that the page does not have."""
    name = "GET" if method == "HEAD" else method
    if not hasattr(view, name.lower()) or name == "OPTIONS":
        return None
    declared = view.permission
    # A name that Django's own view has for something else, such as SETUP, is no method either.
    return declared if isinstance(declared, str) else declared.get(name)


def check_declared_permission(view: type[ConsoleView]) -> None:
    """Raises `ImproperlyConfigured` for a page that does not say who may do what on it."""
    declared = getattr(view, "permission", None)
    methods = [name for name in ("GET", "POST", "PUT", "PATCH", "DELETE") if hasattr(view, name.lower())]
    named = dict.fromkeys(methods, declared) if isinstance(declared, str) else dict(declared or {})
    if view.second_permission is not None and not {*named.values(), view.second_permission} <= PERMISSIONS.keys():
        raise ImproperlyConfigured(f"{view.__name__} needs two permissions, and not both are of a role.")
    if not methods or set(named) != set(methods) or not set(named.values()) <= DECLARABLE:
        raise ImproperlyConfigured(f"{view.__name__} must declare a permission for each of {', '.join(methods)}.")


def standing_of(request: HttpRequest) -> Standing | None:
    """Who is logged in; None for nobody, and for a session from before its account's proofs changed."""
    account = request.session.get(ACCOUNT)
    standing = read_standing(UUID(account)) if account else None
    return standing if standing is not None and standing.login_epoch == request.session.get(EPOCH) else None


def _logged_in(request: HttpRequest) -> Standing:
    standing = standing_of(request)
    if standing is None:
        if request.session.get(ACCOUNT):  # which is over
            request.session.flush()
        raise Turned(_ask_login(request))
    request.standing = standing  # type: ignore[attr-defined]
    return standing


def _chosen(request: HttpRequest, standing: Standing) -> Membership | None:
    """The tenant that the session is in: the chosen one, or the only one. None when that is over, or none is chosen."""
    if (chosen := request.session.get(TENANT)) is not None:
        return standing.in_tenant(UUID(chosen))
    return standing.memberships[0] if len(standing.memberships) == 1 else None


def _refuse_other_tenants_page(request: HttpRequest, membership: Membership) -> None:
    """A page that lies open since before the session turned to another tenant shows nothing of this one."""
    page_of = request.headers.get(LIVE)
    if page_of and parse_id(TENANT_ID, page_of) != membership.tenant_id:
        raise Turned(refuse(request, 409, _("You are in another tenant now. Load the page again.")))


def _ask_login(request: HttpRequest) -> HttpResponseBase:
    wanted = request.get_full_path() if is_look(request) else places.HOME
    return HttpResponseRedirect(f"{places.LOGIN}?{urlencode({'next': wanted})}")


def _ask_proof(request: HttpRequest) -> HttpResponseBase:
    """To the proof, and from there back to this page, or to the one that its form stood on."""
    wanted = request.get_full_path() if is_look(request) else _page_before(request)
    return HttpResponseRedirect(f"{places.STEP_UP}?{urlencode({'next': wanted})}")


def _page_before(request: HttpRequest) -> str:
    """With its query: the list that somebody acts on is the one that they have found."""
    host, _slash, rest = request.headers.get("Referer", "").partition("://")[2].partition("/")
    page = find_page(f"/{rest}") if host == request.get_host() else None
    return page or places.HOME
