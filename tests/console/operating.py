"""Operators of the installation for tests of the console: logged in, with a second factor, and freshly proved."""

from __future__ import annotations

import itertools
import time
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.conf import settings

from jobservice.ids import new_id
from tenants.console.session_store import ACCOUNT, EPOCH, STEPPED_UP_AT, SessionStore
from tenants.models import Account
from tenants.operators import OperatorSession
from tests.console.visiting import Visitor

_numbers = itertools.count(1)


class Operator(Visitor):
    """A browser without scripts, in an operator's session."""

    def __init__(self, session_key: str, account_id: UUID, email: str) -> None:
        super().__init__(session_key, account_id)
        self.account_id = account_id
        self.email = email


def make_operator(*, has_factor: bool = True, is_proved: bool = True) -> Operator:
    """An operator who is a member of no tenant."""
    email = f"operator-{next(_numbers)}@example.com"
    account = Account.objects.create(id=new_id(), email=email, password="!nothing-fits", is_staff=True)
    if has_factor:
        Authenticator.objects.create(user_id=account.id, type="totp", data={})
    session = SessionStore()
    session[ACCOUNT] = str(account.id)
    session[EPOCH] = account.login_epoch
    if is_proved:
        session[STEPPED_UP_AT] = time.time()
    session.create()
    assert session.session_key is not None
    return Operator(session.session_key, account.id, email)


def session_of(operator: Operator) -> OperatorSession:
    """As the pages hand it to the database."""
    return OperatorSession(operator.account_id, operator.kept(settings.SESSION_COOKIE_NAME))
