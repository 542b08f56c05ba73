"""The console's addresses, under `/console/`. Each page says who may see it, or the process does not start."""

from django.urls import URLPattern, path

from tenants.console.access import ConsoleView, check_declared_permission
from tenants.console.account import ChangePassword, EndOtherSessions, EndSession, ShowAccount
from tenants.console.factors import AddPasskey, AddTotp, ListFactors, RemoveFactor, RenewRecoveryCodes
from tenants.console.home import Elsewhere, Home
from tenants.console.invitation import Redeem
from tenants.console.login import LogIn, LogOut, PasskeyLogIn, PasskeyOptions, SecondFactor, SecondFactorOptions
from tenants.console.members import (
    ChangeMember,
    InviteMember,
    LeaveTenant,
    ListMembers,
    RemoveMember,
    RequireFactor,
)
from tenants.console.proof import StepUp, StepUpOptions
from tenants.console.reset import AskReset, Reset
from tenants.console.screens import SCREENS
from tenants.console.tenant_choice import ChooseTenant


def page(route: str, view: type[ConsoleView]) -> URLPattern:
    """An address of a page. Raises `ImproperlyConfigured` for one that does not say who may see it."""
    check_declared_permission(view)
    return path(route, view.as_view(), name=f"console-{view.__name__}")


urlpatterns = [
    page("", Home),
    page("login", LogIn),
    page("login/second-factor", SecondFactor),
    page("login/second-factor/options", SecondFactorOptions),
    page("login/passkey", PasskeyLogIn),
    page("login/passkey/options", PasskeyOptions),
    page("logout", LogOut),
    page("reset", AskReset),
    page("reset/<str:text>", Reset),
    page("invitation/<str:text>", Redeem),
    page("step-up", StepUp),
    page("step-up/options", StepUpOptions),
    page("tenants", ChooseTenant),
    page("account", ShowAccount),
    page("account/password", ChangePassword),
    page("account/sessions/end-others", EndOtherSessions),
    page("account/sessions/<str:session>/end", EndSession),
    page("account/factors", ListFactors),
    page("account/factors/totp", AddTotp),
    page("account/factors/passkey", AddPasskey),
    page("account/factors/<int:factor>/remove", RemoveFactor),
    page("account/recovery-codes", RenewRecoveryCodes),
    page("members", ListMembers),
    page("members/invite", InviteMember),
    page("members/leave", LeaveTenant),
    page("members/second-factor", RequireFactor),
    page("members/<str:member>", ChangeMember),
    page("members/<str:member>/remove", RemoveMember),
    *(page(route, view) for route, view in SCREENS),
    # Last: what there is no page for is told by a page.
    page("<path:rest>", Elsewhere),
]
