"""The members of a tenant: who they are, and for those who may: invite, change, remove."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from jobservice.errors import Conflict, Forbidden, Invalid, NotFound
from jobservice.ids import MEMBER, parse_id
from tenants.console import places
from tenants.console.access import ConsoleView
from tenants.console.answers import STATUSES
from tenants.console.reset import can_send_mail
from tenants.console.signing_in import end_own_session
from tenants.links import invitation_url
from tenants.mail import send_invitation
from tenants.member_changes import (
    change_member,
    invite_by_member,
    list_members,
    remove_member,
    require_second_factor,
)
from tenants.members import NewMember
from tenants.roles import MEMBERS, READ, ROLES, SETTINGS, may_grant


class ListMembers(ConsoleView):
    permission = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return _show(self, request)


class InviteMember(ConsoleView):
    """Where there is mail, the link goes to whom it is for, and to nobody else: whoever has it can be that person. Else
    the answer shows it, and is not to be had again: a reload must not invite anew, and cannot, by the address.
    """

    permission = MEMBERS
    step_up = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        try:
            new = invite_by_member(
                self.person.tenant_id,
                self.person.member_id,
                email=request.POST.get("email", "")[:1000],
                role=request.POST.get("role", ""),
                may_read_payloads=request.POST.get("may_read_payloads") == "on",
            )
        except (Invalid, Conflict, Forbidden) as error:
            return _show(self, request, error=error)
        if can_send_mail():
            send_invitation(new, tenant_name=self.person.tenant_name)
        return _show(self, request, new=new)


class ChangeMember(ConsoleView):
    permission = MEMBERS
    step_up = True

    def post(self, request: HttpRequest, member: str) -> HttpResponseBase:
        change_member(
            self.person.tenant_id,
            _member_id(member),
            self.person.member_id,
            role=request.POST.get("role", ""),
            may_read_payloads=request.POST.get("may_read_payloads") == "on",
        )
        return HttpResponseRedirect(places.MEMBERS)


class RemoveMember(ConsoleView):
    permission = MEMBERS
    step_up = True

    def post(self, request: HttpRequest, member: str) -> HttpResponseBase:
        remove_member(self.person.tenant_id, _member_id(member), self.person.member_id)
        return HttpResponseRedirect(places.MEMBERS)


class LeaveTenant(ConsoleView):
    permission = READ
    step_up = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        remove_member(self.person.tenant_id, self.person.member_id, self.person.member_id)
        return end_own_session(request)


class RequireFactor(ConsoleView):
    """Whether members need a second factor; asked for in the settings."""

    permission = SETTINGS
    step_up = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        require_second_factor(self.person.tenant_id, is_required=request.POST.get("require_mfa") == "on")
        return HttpResponseRedirect(reverse("console-SettingsPage"))


def _member_id(text: str) -> UUID:
    if (member_id := parse_id(MEMBER, text)) is None:
        raise NotFound("There is no such member.")
    return member_id


def _show(
    view: ConsoleView,
    request: HttpRequest,
    *,
    new: NewMember | None = None,
    error: Invalid | Conflict | Forbidden | None = None,
) -> HttpResponseBase:
    person, membership = view.person, view.membership
    faults = [fault.detail for fault in error.faults] if isinstance(error, Invalid) else []
    content = {
        "members": list_members(person.tenant_id),
        "roles": [role for role in ROLES if may_grant(person.role, role)],
        "require_mfa": membership is not None and membership.require_mfa,
        "new": new,
        "link": None if new is None or can_send_mail() else invitation_url(new.invitation),
        "errors": faults or ([error.detail] if error is not None else []),
        "typed": {"role": "viewer"} if error is None else request.POST,
    }
    status = 200 if error is None else STATUSES[type(error)]
    return render(request, "console/members.html", content, status=status)
