"""The console in a real browser: what it looks like, that nobody is shut out, by keys alone, without scripts, and that
nothing which somebody wrote into a job is ever run."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.journeys.console.session import (
    CHROMIUM,
    close_context,
    find_faults,
    log_in,
    open_context,
    violations,
)
from tests.journeys.product import Product

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")

HOSTILE = (
    "<script>ran.push(1)</script>",
    "<img src=x onerror=ran.push(2)>",
    "\"'><svg onload=ran.push(3)>",
    "javascript:ran.push(4)",
    "{{ 7*7 }}{% debug %}",
    "</textarea></title></style><script>ran.push(5)</script>",
    "' autofocus onfocus=ran.push(6) x='",
    "<a hx-on:load='ran.push(7)' hx-get='/x' hx-trigger='load'>x</a>",
    "&lt;script&gt;ran.push(8)&lt;/script&gt;",
    "<iframe srcdoc='<script>parent.ran.push(9)</script>'></iframe>",
    "\u202egnp.exe<b>",
)


@pytest.fixture
def session(product: Product) -> str:
    return log_in(product)


def make_jobs(product: Product) -> list[str]:
    """A job of each kind of end, and some that wait."""
    wishes: list[dict[str, Any]] = [
        {"type": "echo", "payload": {"order": 12345678901234567890}, "tags": {"customer": "4711"}},
        {"type": "echo", "payload": {}, "queue": "mail", "tags": {"customer": "acme", "env": "prod", "region": "eu"}},
        {"type": "fail", "payload": {}, "max_attempts": 1},
        {"type": "fail", "payload": {}, "max_attempts": 5},
        {"type": "echo", "payload": {}, "delay_seconds": 86400, "queue": "reports"},
        {"type": "sleep", "payload": {"seconds": 120}, "queue": "reports"},
        *({"type": "echo", "payload": {}, "queue": "keyed", "concurrency_key": key} for key in ("a", "a", "b")),
    ]
    product.call("PUT", "/v1/queues/keyed", {"rate": {"limit": 100, "period_seconds": 3600}})
    made = [product.submit(**wish) for wish in wishes]
    product.wait_for_end([made[0], made[1], made[2]])
    product.call("POST", "/v1/queues/mail/pause")
    return made


def screens(jobs: list[str]) -> dict[str, str]:
    return {
        "jobs": "/console/jobs",
        "jobs-none": "/console/jobs?q=type:nothing",
        "jobs-fault": "/console/jobs?q=state:gone",
        "job-completed": f"/console/jobs/{jobs[0]}",
        "job-discarded": f"/console/jobs/{jobs[2]}",
        "job-waiting": f"/console/jobs/{jobs[4]}",
        "job-running": f"/console/jobs/{jobs[5]}",
        "job-json": f"/console/jobs/{jobs[0]}/json",
        "queues": "/console/queues",
        "queue": "/console/queues/reports",
        "queue-keys": "/console/queues/keyed",
        "queue-pause": "/console/queues/reports/pause",
        "workers": "/console/workers",
        "not-found": "/console/nowhere",
        "overview": "/console/overview?range=15m",
        "overview-tables": "/console/overview?range=15m&tables=1",
        "errors": "/console/errors",
        "errors-none": "/console/errors?state=ignored",
        "usage": "/console/usage",
        "keys": "/console/keys",
        "endpoints": "/console/webhooks",
        "inbox": "/console/inbox",
        "audit": "/console/audit",
        "settings": "/console/settings",
        "members": "/console/members",
        "account": "/console/account",
    }


def test_no_screen_shuts_anybody_out_in_either_colour_and_none_breaks_the_policy(
    browser: Browser, product: Product, session: str
) -> None:
    jobs = make_jobs(product)
    found = find_faults(browser, product, session, screens(jobs))
    # What runs on, or is tried again, would be counted by other journeys that share the product.
    for job in jobs[3:6]:
        product.call("POST", f"/v1/jobs/{job}/cancel")
    product.wait_for_end(jobs)
    assert not found, "\n".join(sorted(set(found)))


def test_a_job_is_found_cancelled_and_retried_by_keys_alone(page: Page, product: Product) -> None:
    job = product.submit(type="echo", payload={}, delay_seconds=3600, queue="by-keys")
    page.goto(f"{product.address}/console/queues")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url("**/console/jobs")
    page.keyboard.press("/")
    page.keyboard.type("queue:by-keys")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=queue*")
    page.locator("h1").focus()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-picked]")).to_have_text("1")
    # Keys work while the checkbox has the focus.
    page.locator(".row-pick").focus()
    page.keyboard.press("c")
    page.wait_for_url("**/jobs/cancel")
    expect(page.locator("h1")).to_have_text("Cancel 1 job?")
    # The page gives it the focus with its first picture, which on a busy machine comes after its text.
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("done for 1 job")).to_be_visible()
    page.wait_for_load_state()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{job}")
    expect(page.locator(".page-head .chip").first).to_have_text("Cancelled")
    page.keyboard.press("r")
    expect(page.get_by_text("It is available again.")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") in ("dark", "light")
    page.keyboard.press("Control+k")
    page.keyboard.type("queues")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/queues")
    assert violations(page) == []


def test_a_list_and_a_job_stay_fresh_by_themselves(page: Page, product: Product) -> None:
    product.submit(type="echo", payload={}, delay_seconds=3600, queue="fresh")
    page.goto(f"{product.address}/console/jobs?q=queue:fresh")
    expect(page.locator("[data-row]")).to_have_count(1)
    page.locator(".row-pick").check()
    product.submit(type="echo", payload={}, delay_seconds=3600, queue="fresh")
    expect(page.locator(".news-pill")).to_have_text("1 new: show")
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.locator(".row-pick")).to_be_checked()
    page.locator(".news-pill").click()
    expect(page.locator("[data-row]")).to_have_count(2)
    assert violations(page) == []


def test_without_scripts_a_job_is_searched_cancelled_and_revealed(
    browser: Browser, product: Product, session: str
) -> None:
    job = product.submit(type="echo", payload={"n": 98765432109876543210}, delay_seconds=3600, queue="plain")
    context = open_context(browser, product, session, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{product.address}/console/jobs")
    page.get_by_label("Search jobs", exact=True).fill("queue:plain")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("link", name="echo").click()
    expect(page.get_by_text("Waiting because")).to_be_visible()
    page.get_by_role("button", name="Reveal").click()
    expect(page.get_by_text("98765432109876543210")).to_be_visible()
    page.get_by_role("link", name="Hide again").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("It is cancelled.")).to_be_visible()
    assert page.url.endswith(job)
    close_context(context)


def test_nothing_that_somebody_wrote_is_run(page: Page, product: Product) -> None:
    said: list[str] = []

    def note(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    page.on("pageerror", lambda error: said.append(str(error)))
    jobs = [
        product.submit(type="fail", payload={"message": text}, max_attempts=1, tags={"x": text[:200]}, queue="hostile")
        for text in HOSTILE
    ]
    product.wait_for_end(jobs)
    addresses = ["/console/jobs?q=queue:hostile", "/console/jobs/json?q=queue:hostile"]
    addresses += [f"/console/jobs/{job}{part}" for job in jobs for part in ("", "/json")]
    for address in addresses:
        page.goto(product.address + address)
        assert page.evaluate("window.ran") == []
        assert violations(page) == []
    for text in HOSTILE:
        page.goto(f"{product.address}/console/jobs")
        page.get_by_label("Search jobs", exact=True).fill(text)
        page.keyboard.press("Enter")
        page.wait_for_url("**q=**")
        assert page.evaluate("window.ran") == []
        assert violations(page) == []
    page.goto(f"{product.address}/console/jobs/{jobs[0]}")
    page.get_by_role("button", name="Reveal").click()
    expect(page.get_by_text("Opened for you now")).to_be_visible()
    assert (page.evaluate("window.ran"), violations(page), said) == ([], [], [])
    # What watches for it sees it.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=ran.push(1)>')")
    page.wait_for_function("window.violations.length > 0")
