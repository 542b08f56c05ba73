"""A person in a real browser: the printed link, a password, a passkey, an authenticator app, and each way to log in."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, sync_playwright

from tests.journeys.product import Product
from tests.journeys.test_docs_page import CHROMIUM, WATCH

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
PASSWORD = "my first pass phrase"
PASSKEYS = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def said() -> list[str]:
    """Violations of the policy, and what a page complains of."""
    return []


@pytest.fixture
def page(product: Product, said: list[str]) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.expose_function("tell", lambda text: said.append(text))
        page.add_init_script(
            f"{WATCH} document.addEventListener('securitypolicyviolation', (event) => "
            "window.tell(`${event.violatedDirective} ${event.blockedURI}`));"
        )
        page.on("pageerror", lambda error: said.append(str(error)))
        devtools = page.context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": PASSKEYS})
        yield page
        browser.close()


def log_out(page: Page) -> None:
    page.click("button[popovertarget=me]")
    page.click("#me button:has-text('Log out')")
    page.wait_for_url("**/console/login")


def type_password(page: Page, email: str, password: str = PASSWORD) -> None:
    page.fill("#email", email)
    page.fill("#password", password)
    page.click("form[action='/console/login'] button")


def code(seed: str, *, after: int) -> tuple[str, int]:
    """The first code of a period after this one, waiting for it if need be, and its period.

    A code is good for a period before and after its own; one that is soon over is not typed.
    """
    period = max((int(time.time()) - 15) // 30, after + 1)
    while int(time.time()) // 30 + 1 < period:
        time.sleep(0.5)
    return str(format_hotp_value(hotp_value(seed, period))), period


def test_a_person_joins_and_logs_in_by_every_way(page: Page, product: Product, said: list[str]) -> None:
    link = re.search(r"^\s*Console\s+(http://localhost:\d+/console/invitation/\w+)$", product.log, re.MULTILINE)
    assert link is not None, product.log
    email = re.search(r"you are in as (\S+)$", product.log, re.MULTILINE)
    assert email is not None
    home = f"http://localhost:{product.port}/console/"

    page.goto(link[1])
    page.fill("#password", PASSWORD)
    page.click("button:has-text('Join')")
    page.wait_for_url(home)
    assert page.inner_text("h1") == "Overview"
    cookies: list[Any] = page.context.cookies()
    assert {cookie["name"] for cookie in cookies} == {"__Host-jobservice", "__Host-jobservice-csrf"}
    assert all(cookie["secure"] and cookie["httpOnly"] for cookie in cookies)

    page.goto(f"{home}account/factors/passkey")
    page.fill("#name", "this machine")
    page.click("[data-passkey-button]")
    page.wait_for_selector("ol code")
    recovery = page.eval_on_selector_all("ol code", "all => all.map(one => one.textContent)")
    assert len(recovery) == 10

    page.goto(f"{home}account/factors/totp")
    assert page.locator("svg.qr path").get_attribute("d")
    seed = page.inner_text("#secret").replace(" ", "")
    typed, period = code(seed, after=0)
    page.fill("#code", typed)
    page.click("button:has-text('Add')")
    page.wait_for_url("**/console/account/factors")
    assert "this machine" in page.inner_text("main")

    log_out(page)
    page.click("form[data-passkey] button")  # without a name or a password
    page.wait_for_url(home)

    log_out(page)
    type_password(page, email[1], "not this one at all")
    assert "wrong" in page.inner_text("[role=alert]:visible")
    type_password(page, email[1])
    page.wait_for_url("**/login/second-factor")
    typed, period = code(seed, after=period)
    page.fill("#code", typed)
    page.click("button:has-text('Log in')")
    page.wait_for_url(home)

    log_out(page)
    type_password(page, email[1])
    page.wait_for_url("**/login/second-factor")
    page.click("form[data-passkey] button")
    page.wait_for_url(home)

    log_out(page)
    type_password(page, email[1])
    page.fill("#code", recovery[0])
    page.click("button:has-text('Log in')")
    page.wait_for_url(home)

    page.goto(f"{home}members")
    page.fill("#invite-email", "eve@example.com")
    page.click("button:has-text('Invite')")
    assert "/console/invitation/" in page.inner_text("section code")
    for path in ("account", "tenants", "members", "nowhere"):
        page.goto(f"{home}{path}")
    assert said == []

    # What watches for violations sees one.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<b style=\"color: red\">x</b>')")
    page.wait_for_function("window.violations.length > 0")
