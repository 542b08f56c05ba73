"""A person's session in a running product, made where the login would make it, and a browser that has it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.journeys.product import ROOT, Product

# Where it is given a browser is required; else one of the system is taken, when there is one.
CHROMIUM = os.environ.get("TEST_CHROMIUM") or shutil.which("chromium")
AXE = Path(__file__).resolve().parent / "vendor" / "axe.min.js"
SHOTS = ROOT / "build" / "console"
COOKIE = "__Host-jobservice"
# What is to be seen on a page is waited for: how quickly it is there says how busy the machine is.
expect.set_options(timeout=60_000)
WATCH = """
window.violations = [];
window.ran = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""
_LOG_IN = """
from jobservice.ids import new_id
from tenants.context import tenant_tx
from tenants.console.session_store import ACCOUNT, EPOCH, SessionStore
from tenants.models import Account, Member, Tenant
tenant = Tenant.objects.get(name="demo")
email = "maria@example.com"
account = Account.objects.filter(email=email).first() or Account.objects.create(id=new_id(), email=email, password="!")
with tenant_tx(tenant.id):
    if not Member.objects.filter(email=email).exists():
        Member.objects.create(id=new_id(), tenant_id=tenant.id, email=email, role="owner", may_read_payloads=True,
            status="active", account_id=account.id)
session = SessionStore()
session[ACCOUNT] = str(account.id)
session[EPOCH] = account.login_epoch
session.create()
print(f"session={session.session_key}")
"""
_LOG_IN_OPERATOR = """
import time
from allauth.mfa.models import Authenticator
from jobservice.ids import new_id
from tenants.console.session_store import STEPPED_UP_AT
from tenants.console.session_store import ACCOUNT, EPOCH, SessionStore
from tenants.models import Account
email = "root@example.com"
account = Account.objects.filter(email=email).first()
if account is None:
    account = Account.objects.create(id=new_id(), email=email, password="!", is_staff=True)
    Authenticator.objects.create(user_id=account.id, type="totp", data={})
session = SessionStore()
session[ACCOUNT] = str(account.id)
session[EPOCH] = account.login_epoch
session[STEPPED_UP_AT] = time.time()
session.create()
print(f"session={session.session_key}")
"""


def log_in(product: Product) -> str:
    """The cookie of an owner of the tenant `demo` who may read payloads."""
    return _make_session(product, _LOG_IN)


def log_in_operator(product: Product) -> str:
    """The cookie of an operator of the installation, who is in no tenant and has just proved who they are."""
    return _make_session(product, _LOG_IN_OPERATOR)


def _make_session(product: Product, program: str) -> str:
    done = product.command("shell", "-c", program)
    said = f"{done.stdout}{done.stderr}"
    found = re.search(r"session=(\S+)", said)
    assert found is not None, said
    return found[1]


def session_of(page: Page) -> str:
    """The cookie that the page's browser has now: it changes with who it stands for."""
    return next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == COOKIE)


@contextmanager
def browsing() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_context(browser: Browser, product: Product, session: str, **options: Any) -> BrowserContext:
    options.setdefault("viewport", {"width": 1440, "height": 900})
    context = browser.new_context(**options)
    context.add_init_script(WATCH)
    # As over TLS: to the machine itself a browser sends it without, too.
    url = product.address.replace("http:", "https:")
    context.add_cookies([{"name": COOKIE, "value": session, "url": url, "secure": True, "httpOnly": True}])
    return context


def close_context(context: BrowserContext) -> None:
    """Chromium never answers that a context is closed when a page of it was being loaded, and there is no time limit:
    its pages are left first.
    """
    for page in context.pages:
        page.goto("about:blank")
    context.close()


def find_faults(browser: Browser, product: Product, session: str, addresses: Mapping[str, str]) -> list[str]:
    """What is wrong with these screens, by their names, in either colour, wide and on a phone; a picture of each."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    found: list[str] = []
    for colours in ("light", "dark"):
        for width, height in ((1440, 900), (360, 800)):
            # What still fades in has other colours than it will have, and a picture of it is another one each time.
            context = open_context(
                browser,
                product,
                session,
                viewport={"width": width, "height": height},
                color_scheme=colours,
                reduced_motion="reduce",
            )
            page = context.new_page()
            for name, address in addresses.items():
                page.goto(product.address + address)
                # Another page than was asked for, such as the login, would be looked at in its place.
                found += [f"{name}: led to {page.url}"] if page.url != product.address + address else []
                page.screenshot(path=SHOTS / f"{name}-{colours}-{width}.png", full_page=width < 1000)
                found += [f"{name} {colours} {width}: {one}" for one in violations(page)]
                wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                found += [f"{name} {width}: wider than the screen by {wider}"] if wider > 0 else []
                found += [f"{name} {colours} {width}: {one}" for one in find_barriers(page)]
            close_context(context)
    return found


def violations(page: Page) -> list[str]:
    found: list[str] = page.evaluate("window.violations")
    return found


def find_barriers(page: Page) -> list[str]:
    """What axe has to say of the page, as a sentence each."""
    page.evaluate(AXE.read_text())
    found: list[str] = page.evaluate(
        "axe.run().then(result => result.violations.flatMap(one => one.nodes.map(node =>"
        " `${one.id}: ${node.target} ${node.failureSummary}`)))"
    )
    return found
