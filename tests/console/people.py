"""Browsers for tests of the console: a client that keeps cookies, sends forms their token and acts as the web role."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.auth.hashers import make_password
from django.test import Client

from tenants.accounts import make_account
from tenants.console.session_store import hash_session_key
from tenants.invitations import hash_invitation
from tenants.members import invite_member
from tenants.models import Account, LoginSession, Member
from tests.factories import Tenant
from tests.roles import as_role

PASSWORD = "a long pass phrase for tests"
FORM = "application/x-www-form-urlencoded"
SESSION, CSRF = "__Host-jobservice", "__Host-jobservice-csrf"


class Browser:
    """One person's browser. Over TLS, as the cookies demand; with the check against forgery."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False, REMOTE_ADDR=address)

    def get(self, path: str, **headers: str) -> Any:
        with as_role("web"):
            return self.client.get(path, secure=True, headers=headers, HTTP_HOST="localhost")

    def post(self, path: str, data: dict[str, str] | None = None, **headers: str) -> Any:
        token = self.client.cookies[CSRF].value if CSRF in self.client.cookies else ""
        headers = {"Origin": "https://localhost", **headers}
        body = {"csrfmiddlewaretoken": token, **(data or {})}
        with as_role("web"):
            return self.client.post(
                path, urlencode(body), content_type=FORM, secure=True, headers=headers, HTTP_HOST="localhost"
            )

    def log_in(self, email: str, password: str = PASSWORD, *, next: str = "/console/") -> Any:  # noqa: A002
        self.get("/console/login")
        return self.post("/console/login", {"email": email, "password": password, "next": next})

    @property
    def session_key(self) -> str:
        return self.client.cookies[SESSION].value if SESSION in self.client.cookies else ""

    @property
    def session(self) -> LoginSession:
        return LoginSession.objects.get(key_hash=hash_session_key(self.session_key))

    def forget_proof(self) -> None:
        """As if the login were long ago."""
        row = self.session
        LoginSession.objects.filter(key_hash=row.key_hash).update(data={**row.data, "stepped_up_at": time.time() - 601})


def join(tenant: Tenant, email: str, role: str = "owner", *, payloads: bool = False) -> Member:
    """An active member with an account of `PASSWORD`."""
    new = invite_member(tenant.id, email=email, role=role, may_read_payloads=payloads)
    account = Account.objects.filter(email=new.email).first()
    account_id = account.id if account else make_account(new.email, make_password(PASSWORD))
    redeemed = Member.objects.filter(invitation_hash=hash_invitation(new.invitation))
    redeemed.update(status="active", account_id=account_id, invitation_hash=None, invitation_expires_at=None)
    return Member.objects.get(id=new.member_id)


def logged_in(
    tenant: Tenant, role: str = "owner", *, email: str | None = None, payloads: bool = False, place: str = "127.0.0.1"
) -> Browser:
    """A browser of a new member of this role. `place`: many logins from one are too many tries."""
    address = email or f"{role}@{tenant.name}.example"
    join(tenant, address, role, payloads=payloads)
    browser = Browser(place)
    assert browser.log_in(address).status_code == 302
    return browser


def code_of(seed: str, *, periods: int = 0) -> str:
    """The code of this seed for the period to come, or for some periods after it.

    It is good already, as the one before it is, and both stay good when a period ends while they are on their way.
    """
    code: str = format_hotp_value(hotp_value(seed.replace(" ", ""), int(time.time()) // 30 + 1 + periods))
    return code
