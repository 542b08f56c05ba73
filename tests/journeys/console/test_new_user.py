"""Somebody new, from the printed link on: each screen's main action in a real browser, as a person does it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.console.session import CHROMIUM, WATCH, browsing, violations
from tests.journeys.pictures import follow_link, printed_link, wait_until_filled
from tests.journeys.product import Product, running

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
PASSWORD = "a pass phrase of my own"


class Console(NamedTuple):
    """The owner's page, in a product that has filled its demo tenant; `home` ends with a slash."""

    product: Product
    browser: Browser
    page: Page
    home: str

    def open(self, place: str) -> None:
        self.page.goto(self.home + place)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=False).first.click()


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("new-user") / "var"
    # The lease of a real start, for nothing is killed here.
    with running(folder, JOBSERVICE_DEMO="on", JOBSERVICE_LEASE_SECONDS="30") as product, browsing() as browser:
        wait_until_filled(product)
        page = watched(browser)
        follow_link(page, printed_link(product), PASSWORD)
        yield Console(product, browser, page, page.url)
        assert violations(page) == []


def watched(browser: Browser) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.add_init_script(WATCH)
    return page


def test_the_overview_says_what_goes_on_and_looks_at_another_time(console: Console) -> None:
    console.open("")
    for figure in ("Ready", "Running", "Done a minute", "Failed", "Oldest wait"):
        expect(console.page.get_by_text(figure, exact=True).first).to_be_visible()
    console.page.get_by_role("link", name="15 min").click()
    console.page.wait_for_url("**range=15m*")
    expect(console.page.locator("tbody tr", has_text="email.welcome").first).to_be_visible()


def test_a_failed_job_is_found_understood_mended_and_run_again(console: Console) -> None:
    page = console.page
    console.open("jobs")
    page.get_by_role("link", name=re.compile("^Discarded")).click()
    page.wait_for_url("**state*discarded*")
    page.locator("tbody tr", has_text="invoice.render").get_by_role("link").first.click()
    expect(page.locator(".error-text").first).to_contain_text("line 3 has no tax rate")
    failed = page.url
    console.press("Retry with an edited payload")
    expect(page.locator("#payload")).to_have_value(re.compile('"fails": "value"'))
    page.fill("#payload", '{"seconds": 0, "result": }')
    console.press("Make the new job")
    expect(page.get_by_role("alert")).to_contain_text("line 1")
    page.fill("#payload", '{"seconds": 0, "result": {"pages": 3}}')
    console.press("Make the new job")
    page.wait_for_url(lambda url: "/jobs/job_" in url and url != failed)
    expect(page.locator("h1 + .chip")).to_have_text("Completed")
    page.locator(f'a[href="{failed.removeprefix(console.home.removesuffix("/console/"))}"]').first.click()
    expect(page.locator("h1 + .chip")).to_have_text("Discarded")


def test_all_that_fail_alike_are_resolved(console: Console) -> None:
    page = console.page
    console.open("errors")
    row = page.locator("tbody tr", has_text="payment.capture")
    expect(row).to_contain_text("the bank's gateway did not answer")
    row.get_by_role("button", name="Resolve").click()
    expect(page.locator("tbody tr", has_text="payment.capture")).to_have_count(0)
    page.get_by_role("link", name="Resolved", exact=True).click()
    expect(page.locator("tbody tr", has_text="payment.capture")).to_contain_text("Resolved")


def test_a_queue_is_paused_for_a_reason_resumed_and_given_a_limit(console: Console) -> None:
    page = console.page
    console.open("queues/media")
    page.get_by_role("link", name="Pause").click()
    page.fill("#reason", "the disk is full")
    console.press("Pause")
    expect(page.get_by_text("the disk is full")).to_be_visible()
    console.press("Resume")
    expect(page.get_by_text("the disk is full")).to_have_count(0)
    page.get_by_label("Running at once", exact=True).fill("7")
    console.press("Look at the change")
    expect(page.locator(".diff-is").first).to_have_text("7")
    console.press("Change them")
    expect(page.locator(".diff-is")).to_have_count(0)
    assert console.product.call("GET", "/v1/queues/media")[1]["concurrency"] == 7


def test_a_webhook_is_added_and_seen_verified(console: Console) -> None:
    page = console.page
    console.open("inbox")
    address = page.locator("#inbox-address").locator("xpath=ancestor::section").locator("pre, code").first.inner_text()
    before = page.locator("tbody tr").count()
    page.get_by_role("link", name="New endpoint").click()
    page.fill("#url", address.strip())
    page.get_by_label("job.retrying").uncheck()
    console.press("Make the endpoint")
    expect(page.locator(".chip", has_text="Enabled").first).to_be_visible()
    console.press("Send")
    console.open("inbox")
    row = page.locator("tbody tr", has_text="webhook.test").first
    expect(row).to_contain_text("Verified")
    assert page.locator("tbody tr").count() > before or before == 50


def test_a_key_is_made_and_its_line_works_when_pasted(console: Console) -> None:
    page = console.page
    console.open("keys/new")
    page.fill("#name", "a shop")
    console.press("Make the key")
    expect(page.get_by_text("This is the only time that the key is shown")).to_be_visible()
    line = page.locator("pre", has_text="curl").first.inner_text()
    pasted = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert re.search(r'"(id|data)":', pasted.stdout), pasted.stdout
    page.get_by_role("link", name="I have kept it").click()
    expect(page.locator("tbody tr", has_text="a shop")).to_contain_text("Live")


def test_a_viewer_is_invited_joins_looks_and_may_do_nothing(console: Console) -> None:
    page = console.page
    console.open("members")
    page.fill("#invite-email", "vera@example.com")
    page.select_option("#invite-role", "viewer")
    console.press("Invite")
    link = page.locator("code", has_text="/invitation/").first.inner_text()
    viewer = watched(console.browser)
    follow_link(viewer, link, "another pass phrase of hers")
    expect(viewer.get_by_role("link", name="API keys")).to_have_count(0)
    viewer.goto(console.home + "jobs?q=state:discarded")
    viewer.locator("tbody tr").first.get_by_role("link").first.click()
    expect(viewer.locator(".error-text").first).to_be_visible()
    for act in ("Retry", "Cancel", "Erase", "Reveal"):
        expect(viewer.get_by_role("button", name=act)).to_have_count(0)
    for place in ("keys/new", "webhooks/new"):
        assert viewer.goto(console.home + place).status == 403  # type: ignore[union-attr]  # an answer, always
        expect(viewer.get_by_text("Your role in this tenant does not allow it")).to_be_visible()
    assert violations(viewer) == []
    console.open("members")
    expect(page.locator("tbody tr", has_text="vera@example.com")).to_contain_text("viewer")


def test_the_audit_log_tells_of_it_and_is_taken_along(console: Console) -> None:
    page = console.page
    console.open("audit")
    page.select_option("select[name=action]", "member.invited")
    console.press("Filter")
    page.wait_for_url("**action=member.invited*")
    expect(page.locator("tbody tr").first).to_contain_text("member.invited")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert '"member.invited"' in download.value.path().read_text()


def test_usage_settings_and_workers_say_how_things_stand(console: Console) -> None:
    page = console.page
    console.open("usage")
    expect(page.locator("tbody tr", has_text="Jobs accepted today").first).to_be_visible()
    console.open("workers")
    expect(page.locator("tbody tr", has_text="Live")).to_have_count(3)
    console.open("settings")
    console.press("Reveal")
    expect(page.locator("pre, code", has_text="whsec_").first).to_be_visible()
