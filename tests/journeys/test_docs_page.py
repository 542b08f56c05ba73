"""The API's page in a real browser: it shows the document, tries an operation with a key, and breaks no policy."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Request, sync_playwright

from tests.journeys.product import ROOT, Product, wait_until

# Where it is given a browser is required; else one of the system is taken, when there is one.
CHROMIUM = os.environ.get("TEST_CHROMIUM") or shutil.which("chromium")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@pytest.fixture
def page(product: Product) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.add_init_script(WATCH)
        page.goto(f"{product.address}/docs")
        page.wait_for_selector(".opblock")
        yield page
        browser.close()


def violations(page: Page) -> list[str]:
    found: list[str] = page.evaluate("window.violations")
    return found


def authorize(page: Page, key: str) -> None:
    page.click("button.authorize")
    page.fill(".auth-container input", key)
    page.click(".auth-btn-wrapper button.authorize")
    page.click(".auth-btn-wrapper button.btn-done")


def test_a_job_is_submitted_from_the_page_under_its_policy(page: Page, product: Product) -> None:
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    authorize(page, product.key)
    operation = page.locator("#operations-Jobs-submitJob")
    operation.locator(".opblock-summary-control").click()
    operation.locator(".execute").click()
    shown = operation.locator(".live-responses-table .response")
    shown.locator(".response-col_status").wait_for()
    assert shown.locator(".response-col_status").inner_text().startswith("201")
    job: dict[str, Any] = json.loads(shown.locator(".highlight-code code").first.inner_text())
    ended = product.wait_for_end([job["id"]])
    assert ended[job["id"]]["state"] == "completed"

    assert said == []
    assert violations(page) == []
    assert [url for url in asked if not url.startswith(product.address) and not url.startswith("data:")] == []
    assert page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])") == '[{},{},""]'

    # What watches for violations sees one.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<b style=\"color: red\">x</b>')")
    wait_until(lambda: violations(page), seconds=10, what="the violation is seen")
    assert violations(page)[0].startswith("style-src")


def test_every_operation_and_webhook_is_shown_in_both_colours(page: Page, product: Product) -> None:
    status, document = product.call("GET", "/v1/openapi.json")
    assert status == 200
    described = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    shown = page.eval_on_selector_all(".opblock[id^=operations-]", "all => all.map(block => block.id.split('-').pop())")
    assert set(described) <= set(shown)
    assert len(shown) == len(described) + len(document["webhooks"])

    (ROOT / "build").mkdir(exist_ok=True)
    grounds = set()
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        root = "html.dark-mode" if colours == "dark" else "html:not(.dark-mode)"
        page.locator(root).wait_for(state="attached")
        page.screenshot(path=ROOT / "build" / f"docs-{colours}.png")
        grounds.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert len(grounds) == 2
    assert violations(page) == []
