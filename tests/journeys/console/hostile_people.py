"""What no request of a stranger can write at once, put into a running product by `manage.py shell`: tenants' names,
people, and the browsers they came with. Each text goes through the domain's own checks; those that it refuses are told.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass

from jobservice.errors import Conflict, Invalid
from jobservice.ids import new_id
from tenants.accounts import make_account
from tenants.console.session_store import ACCOUNT, AGENT, EPOCH, STEPPED_UP_AT, SessionStore
from tenants.context import tenant_tx
from tenants.members import invite_member
from tenants.models import Account, Member, Tenant
from tenants.tenancy import create_tenant
from tests.journeys.console.hostile_texts import FEW, POLYGLOTS, TEXTS
from tests.journeys.product import Product

DOMAIN = "example.com"
_MARK = "hostile people:"
# Twice the accounts: one in the one tenant, and one in many.
_OWNER, _TRAVELLER = f'"<img/src/onerror=xss(0)>"@{DOMAIN}', f"traveller@{DOMAIN}"
# Members are invited by a hundred an hour.
_MOST_INVITED = 90


@dataclass(frozen=True, slots=True)
class People:
    """Sessions' keys: of an owner of the tenant `demo`, and of a member of many. And what was taken of each field."""

    owner: str
    traveller: str
    tenants: tuple[str, ...]
    members: tuple[str, ...]
    agents: tuple[str, ...]


def put_people(product: Product) -> People:
    """Done by a process of its own beside the product."""
    done = product.command("shell", "-c", f"from {__name__} import tell_people; tell_people()")
    found = re.search(rf"{_MARK}(.*)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    told = json.loads(found[1])
    lists = {name: tuple(told[name]) for name in ("tenants", "members", "agents")}
    return People(owner=told["owner"], traveller=told["traveller"], **lists)


def tell_people() -> None:
    """Make them all, and print who there is."""
    demo = Tenant.objects.get(name="demo")
    members = _invite(demo)
    owner, traveller = _account(_OWNER), _account(_TRAVELLER)
    _join(demo, owner, may_read_payloads=True)
    tenants = _make_tenants(traveller)
    sessions = {"owner": _log_in(owner, "Chromium"), "traveller": _log_in(traveller, "Chromium")}
    agents = [text for text in TEXTS if _log_in(owner, text)]
    Tenant.objects.filter(id=demo.id).update(name=POLYGLOTS[0])
    print(_MARK + json.dumps({**sessions, "tenants": tenants, "members": members, "agents": agents}))


def _invite(tenant: Tenant) -> list[str]:
    taken: list[str] = []
    for text in TEXTS:
        for address in (f"{text}@{DOMAIN}", f'"{text}"@{DOMAIN}'):
            try:
                if len(taken) < _MOST_INVITED:
                    taken.append(invite_member(tenant.id, email=address, role="viewer").email)
            except (Conflict, Invalid):
                continue
    return taken


def _make_tenants(traveller: Account) -> list[str]:
    taken: list[str] = []
    for text in FEW:
        try:
            _join(Tenant.objects.get(id=create_tenant(text).tenant_id), traveller)
            taken.append(text)
        except (Conflict, Invalid):
            continue
    return taken


def _account(email: str) -> Account:
    return Account.objects.get(id=make_account(email, "!nothing-fits"))


def _join(tenant: Tenant, account: Account, *, may_read_payloads: bool = False) -> None:
    with tenant_tx(tenant.id):
        Member.objects.create(
            id=new_id(),
            tenant_id=tenant.id,
            email=account.email,
            role="owner",
            may_read_payloads=may_read_payloads,
            status="active",
            account_id=account.id,
        )


def _log_in(account: Account, agent: str) -> str:
    session = SessionStore()
    session[ACCOUNT], session[EPOCH], session[AGENT] = str(account.id), account.login_epoch, agent
    session[STEPPED_UP_AT] = time.time()
    session.create()
    assert session.session_key is not None
    return str(session.session_key)
