"""The operators' pages in a real browser: nobody is shut out, a tenant is suspended by keys and buttons, its console is
visited, and a running product carries out the health checks that the page asks for.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.console.session import (
    CHROMIUM,
    find_faults,
    log_in_operator,
    session_of,
    violations,
)
from tests.journeys.product import Product

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")


@pytest.fixture
def session(product: Product) -> str:
    return log_in_operator(product)


def open_tenant(page: Page, product: Product, name: str) -> str:
    """The address of the tenant's page, which is open then."""
    page.goto(f"{product.address}/console/operator")
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_url("**/operator/tenants/tnt_*")
    return page.url


def test_an_operator_finds_a_tenant_suspends_it_and_lets_it_go_on(page: Page, product: Product) -> None:
    product.command("create_tenant", "Acme works")
    page.goto(f"{product.address}/console/operator/health")
    page.locator("h1").focus()
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/console/operator")
    page.get_by_label("Names that begin with").fill("acme")
    page.keyboard.press("Enter")
    page.wait_for_url("**name=acme*")
    page.get_by_role("link", name="Acme works", exact=True).click()
    page.locator("#state-reason").fill("unpaid since May")
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("Acme works is suspended")).to_be_visible()
    expect(page.get_by_text("unpaid since May")).to_be_visible()
    page.locator("#state-reason").fill("paid")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Acme works goes on.")).to_be_visible()
    page.locator("#weight").fill("5")
    page.get_by_role("button", name="Look at the change").click()
    expect(page.get_by_text("Weight 1 → 5")).to_be_visible()
    page.get_by_role("button", name="Change them").click()
    expect(page.get_by_text("The limits are changed")).to_be_visible()
    assert violations(page) == []


def test_a_visit_shows_the_tenants_console_under_a_banner_and_is_left_by_a_button(page: Page, product: Product) -> None:
    product.submit(type="echo", payload={}, queue="visited")
    open_tenant(page, product, "demo")
    page.locator("#visit-reason").fill("ticket 4711")
    page.get_by_role("button", name="Begin the visit").click()
    expect(page.get_by_text("You look at demo as operator root@example.com until")).to_be_visible()
    page.goto(f"{product.address}/console/queues/visited")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    page.get_by_role("button", name="End the visit").click()
    expect(page.get_by_text("Your visit is over.")).to_be_visible()
    expect(page.get_by_text("tenant.visit-ended").first).to_be_visible()
    assert violations(page) == []


def test_the_checks_are_asked_for_by_a_button_and_appear_by_themselves(page: Page, product: Product) -> None:
    page.goto(f"{product.address}/console/operator/health")
    page.get_by_role("button", name="Look now").click()
    expect(page.locator("#check-dispatcher")).to_contain_text("at work", timeout=120_000)
    assert violations(page) == []


def test_no_screen_of_operators_shuts_anybody_out_in_either_colour_and_none_breaks_the_policy(
    browser: Browser, product: Product, session: str, page: Page
) -> None:
    tenant = open_tenant(page, product, "demo").removeprefix(product.address)
    addresses = {
        "operator-tenants": "/console/operator",
        "operator-tenants-none": "/console/operator?name=nobody",
        "operator-tenant": tenant,
        "operator-health": "/console/operator/health",
    }
    found = find_faults(browser, product, session, addresses)
    page.locator("#visit-reason").fill("to look")
    page.get_by_role("button", name="Begin the visit").click()
    page.wait_for_url("**/console/")
    visit = {"visit-jobs": "/console/jobs", "visit-overview": "/console/"}
    found += find_faults(browser, product, session_of(page), visit)
    page.get_by_role("button", name="End the visit").click()
    expect(page.get_by_text("Your visit is over.")).to_be_visible()
    assert not found, "\n".join(sorted(set(found)))
