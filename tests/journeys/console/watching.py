"""A browser that sees whatever runs, is refused by the policy, or is complained of, and what no page of ours has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Route

from tests.journeys.console.session import close_context, open_context, violations
from tests.journeys.product import Product

POLICY = frozenset({"content-security-policy", "content-security-policy-report-only"})
# What Chromium itself says of a page that is a refusal.
_REFUSED = "Failed to load resource: the server responded with a status of 4"
# And of a page that is answered by us: it fades over to none such.
_TRANSITION = "Transition was "
# Elements and attributes that could run something, and that no template of ours has.
_STRAYS = """
() => [...document.querySelectorAll("*")].filter((one) =>
  /^(iframe|frame|frameset|object|embed|applet|base|img|image|math|marquee|video|audio|portal|xss|x|template|style)$/i
    .test(one.localName)
  || (one.localName === "script" && !one.src && one.type !== "application/json")
  || [...one.attributes].some(({name, value}) => /^on|^hx-on|^data-hx-on|^srcdoc$/i.test(name)
    || /^[\\u0000-\\u0020]*(javascript|vbscript|data):/i.test(value) && /href|src|action|data$/i.test(name)
    || /^(href|src|action|formaction|hx-get)$/i.test(name) && /^(https?:)?\\/\\//.test(value)))
  .map((one) => one.outerHTML.slice(0, 200))
"""
_SHOWN = """
() => [document.documentElement.textContent,
  ...[...document.querySelectorAll("input, textarea")].map((one) => one.value)].join("\\n")
"""


@dataclass
class Watched:
    """A page, and what was noticed on the pages that it showed, a line each."""

    page: Page
    address: str
    has_policy: bool
    noticed: list[str] = field(default_factory=list)
    pages: int = 0

    def visit(self, path: str) -> str:
        """Go there, look, and answer the page's text."""
        self.page.goto(self.address + path, wait_until="load")
        return self.look()

    def send(self, action: str, **fields: str) -> str:
        """Send the form of the page that goes to this address, with these fields filled in; look at what comes."""
        form = self.page.locator(f'form[action$="{action}"]').first if action else self.page.locator("main form").first
        for name, value in fields.items():
            form.locator(f'[name="{name}"]').first.fill(value)
        with self.page.expect_navigation():
            form.evaluate("(one) => { one.noValidate = true; one.requestSubmit(); }")
        return self.look()

    def look(self) -> str:
        """What the page shows as text, its white space made plain."""
        self.pages += 1
        for stray in self.page.evaluate(_STRAYS):
            self.note(f"an element of somebody's: {stray}")
        for violation in violations(self.page):
            self.note(f"against the policy: {violation}")
        return plain(self.page.evaluate(_SHOWN))

    def note(self, what: str) -> None:
        self.noticed.append(f"{self.page.url[:120]}: {what}")


def plain(text: str) -> str:
    """A text as it is compared: pages and fields lay white space out as they like."""
    return re.sub(r"\s+", " ", text).strip()


@contextmanager
def watching(browser: Browser, product: Product, session: str, *, has_policy: bool) -> Iterator[Watched]:
    """A page in this session. Without the policy nothing is left in the way of a text that is taken for code."""
    context = open_context(browser, product, session)
    watched = Watched(context.new_page(), product.address, has_policy)
    context.expose_binding("xss", lambda source, *_: watched.note(f"ran in {source['frame'].url[:80]}"))
    if not has_policy:
        context.route("**/*", _strip_policy)

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_REFUSED):
            watched.note(f"the browser says: {message.text[:200]}")

    def dismiss(dialog: Any) -> None:
        watched.note("a dialog")
        dialog.dismiss()

    def complain(error: Exception) -> None:
        if not str(error).startswith(_TRANSITION):
            watched.note(f"an error: {error}")

    watched.page.on("console", listen)
    watched.page.on("dialog", dismiss)
    watched.page.on("pageerror", complain)
    watched.page.on("popup", lambda popup: watched.note(f"a window: {popup.url}"))
    yield watched
    close_context(context)


def _strip_policy(route: Route) -> None:
    if route.request.resource_type != "document":
        route.fallback()
        return
    answer = route.fetch(max_redirects=0)
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in POLICY}
    assert len(headers) < len(answer.headers), "the page had a policy"
    route.fulfill(response=answer, headers=headers)
