"""Somebody of a tenant, logged in to its console: calls pages over Django's handler, as the web process's role."""

from __future__ import annotations

import itertools
import re
import time
from html import unescape
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from jobservice.ids import new_id
from tenants.console.session_store import ACCOUNT, EPOCH, STEPPED_UP_AT, SessionStore
from tenants.models import Account, Member
from tests.console.people import FORM
from tests.factories import Tenant
from tests.roles import as_role

_numbers = itertools.count(1)


class Visitor:
    """A browser without scripts, in the session of one person. Forms are sent as the pages offer them."""

    def __init__(self, session_key: str, member_id: UUID) -> None:
        self.session_key = session_key
        self.member_id = member_id
        self._client = Client(raise_request_exception=True)
        self._client.cookies[settings.SESSION_COOKIE_NAME] = session_key

    def get(self, path: str, **headers: str) -> Any:
        with as_role("web"):
            return self._client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, **fields: Any) -> Any:
        with as_role("web"):
            return self._client.post(path, urlencode(fields, doseq=True), content_type=FORM)

    def keep(self, cookie: str, value: str) -> None:
        """Have a cookie, as from an answer."""
        self._client.cookies[cookie] = value

    def kept(self, cookie: str) -> str:
        return str(self._client.cookies[cookie].value)

    def follow(self, answer: HttpResponse) -> Any:
        """The page that an act leads to."""
        assert answer.status_code == 302, answer.content
        return self.get(answer["Location"])


def make_person(tenant: Tenant, role: str = "owner", *, may_read_payloads: bool = False) -> Visitor:
    """An active member of the tenant with an account, logged in."""
    email = f"person-{next(_numbers)}@example.com"
    account = Account.objects.create(id=new_id(), email=email, password="!nothing-fits")
    member = Member.objects.create(
        id=new_id(),
        tenant_id=tenant.id,
        email=email,
        role=role,
        may_read_payloads=may_read_payloads,
        status="active",
        account_id=account.id,
    )
    session = SessionStore()
    session[ACCOUNT] = str(account.id)
    session[EPOCH] = account.login_epoch
    session[STEPPED_UP_AT] = time.time()
    session.create()
    assert session.session_key is not None
    return Visitor(session.session_key, member.id)


def text_of(answer: HttpResponse) -> str:
    """The words of a page, without its markup."""
    content = answer.content.decode()
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(script|style).*?</\1>", "", content))))
