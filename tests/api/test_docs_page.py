"""GET /docs and the files it is made of. A browser looks at them in tests/journeys/."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest

from tests.api.keys import problem

pytestmark = pytest.mark.django_db

BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9"}


def test_the_page_holds_nothing_inline_and_its_files_are_here(api: Any) -> None:
    answer = api.get("/docs", **BROWSER)
    page = answer.content.decode()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) == 5
    for link in links:
        assert api.get(link).status_code == 200, link
    assert "<style" not in page
    assert " style=" not in page
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


def test_its_policy_allows_nothing_unsafe_and_no_other_host(api: Any) -> None:
    policy = dict(part.strip().split(" ", 1) for part in api.get("/docs").headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert {source for sources in policy.values() for source in sources.split()} == {"'none'", "'self'", "data:"}
    assert [name for name, sources in policy.items() if "data:" in sources] == ["img-src"]


def test_a_file_is_sent_compressed_and_once(api: Any) -> None:
    plain = api.get("/docs/assets/swagger-ui-bundle.js", **BROWSER)
    compressed = api.get("/docs/assets/swagger-ui-bundle.js", Accept_Encoding="gzip, br")
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.content) == plain.content
    assert len(compressed.content) < len(plain.content) / 3
    assert plain.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert plain.headers["Vary"] == compressed.headers["Vary"] == "Accept-Encoding"
    again = api.get("/docs/assets/swagger-ui-bundle.js", If_None_Match=plain.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["swagger-ui-standalone-preset.js", "page.html", "LICENSE", "..%2Fviews.py", "%00"])
def test_no_other_file_is_served(api: Any, name: str) -> None:
    problem(api.get(f"/docs/assets/{name}"), 404, "not-found")
