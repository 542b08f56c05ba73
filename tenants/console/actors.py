"""Who acts: a member or an operator behind a request, as the audit log names them, and how people are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext as _

from jobservice.client_address import REQUEST_ID_KEY, client_address
from jobservice.ids import ACCOUNT, MEMBER, show_id
from tenants.acting import API_KEY, OPERATOR, Actor
from tenants.acting import MEMBER as MEMBER_ACTOR

# What stands for the command of an operator who acts here.
CONSOLE = "console"


def member_actor(request: HttpRequest, member_id: UUID) -> Actor:
    """Who acts, for the tenant's log."""
    return Actor(MEMBER_ACTOR, show_id(MEMBER, member_id), **_origin(request))


def operator_actor(request: HttpRequest, account_id: UUID) -> Actor:
    """An operator by the id of their account; the tenant is told `console` only, and no address of theirs."""
    return Actor(OPERATOR, show_id(ACCOUNT, account_id), command=CONSOLE, request_id=_origin(request)["request_id"])


def _origin(request: HttpRequest) -> dict[str, str | None]:
    address = client_address(request)
    return {"address": None if address is None else str(address), "request_id": request.META.get(REQUEST_ID_KEY)}


def show_actor(actor_type: str, actor_id: str, names: Mapping[str, str]) -> str:
    """Who acted, with what `name_actors` found. Of the operator not who it was: that is in their own export."""
    if actor_type == MEMBER_ACTOR:
        return names.get(actor_id, actor_id)
    if actor_type == API_KEY:
        return _("the API key %(name)s") % {"name": names.get(actor_id, actor_id)}
    return _("the operator") if actor_type == OPERATOR else _("the service")
