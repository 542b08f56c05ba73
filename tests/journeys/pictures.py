"""The pictures of the README: the Jobs screen of a demo tenant just filled, light and dark (`make pictures`).

`python -m tests.journeys.pictures` starts the product in a folder of its own, and needs a chromium.
"""

from __future__ import annotations

import base64
import re
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from tests.journeys.console.session import browsing
from tests.journeys.product import ROOT, Product, running, wait_until

FOLDER = ROOT / "docs" / "pictures"
PASSWORD = "a pass phrase for pictures"
QUALITY = 88
# So that the one that runs has something to show.
SETTLING_MS = 3000


def follow_link(page: Page, link: str, password: str) -> None:
    """Open the printed link, choose a password, and be in."""
    page.goto(link)
    page.fill("input[type=password]", password)
    page.click("button:has-text('Join')")
    page.wait_for_url("**/console/")


def printed_link(product: Product) -> str:
    found = re.findall(r"^  Console    (\S+/invitation/\S+)$", product.log, re.MULTILINE)
    assert found, product.log
    return str(found[-1])


def wait_until_filled(product: Product) -> None:
    wait_until(
        lambda: "the tenant demo has jobs in every state" in product.log,
        seconds=120,
        what="the tenant demo is filled",
        log=lambda: product.log,
    )


def take(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(page.url)
    page.wait_for_timeout(SETTLING_MS)
    devtools = page.context.new_cdp_session(page)
    shot = devtools.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    (FOLDER / f"jobs-{scheme}.webp").write_bytes(base64.b64decode(shot["data"]))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        browsing() as browser,
        running(Path(folder) / "var", JOBSERVICE_DEMO="on") as product,
    ):
        wait_until_filled(product)
        page = browser.new_page(viewport={"width": 1440, "height": 880}, device_scale_factor=1.5)
        follow_link(page, printed_link(product), PASSWORD)
        page.goto(page.url + "jobs")
        for scheme in ("light", "dark"):
            take(page, scheme)


if __name__ == "__main__":
    main()
