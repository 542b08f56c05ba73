"""Every word of the console goes through gettext: pages are shown in a language that puts brackets around what is
translated, and what stands outside of brackets is a name, a number or code."""

from __future__ import annotations

import re
import struct
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from jobservice.ids import TENANT, show_id
from tenants.audit_catalogue import FIELDS
from tenants.console.operator_health import FAILURES
from tenants.models import HealthReport
from tenants.operators import keep_findings, read_clock
from tests.console.operating import make_operator
from tests.console.people import Browser, logged_in
from tests.console.test_access import PAGES, address
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, outcome_of, record, start
from tests.jobs.folding import fold

pytestmark = pytest.mark.django_db
HEADER = "Content-Type: text/plain; charset=UTF-8\n"
OPEN, CLOSE = "\u27e6", "\u27e7"
SPOKEN = ("alt", "aria-label", "placeholder", "title", "data-empty")
# What nobody reads as a sentence: programs, ids, and what people and machines are called.
UNSPOKEN = {"script", "style", "code", "pre", "kbd", "samp", "textarea", "time", "option"}


class Words(HTMLParser):
    """The words of a page that stand outside of brackets."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._depth = 0
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNSPOKEN:
            self._within.append(tag)
        for name, value in attrs:
            if name in SPOKEN and value:
                self._look_at(value, 0)

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if not self._within:
            self._depth = self._look_at(data, self._depth)

    def _look_at(self, text: str, depth: int) -> int:
        outside = ""
        for letter in text:
            depth += (letter == OPEN) - (letter == CLOSE)
            outside += letter if depth == 0 and letter != CLOSE else " "
        self.found += [" ".join(outside.split())] if any(letter.isalpha() for letter in outside) else []
        return depth


@pytest.fixture
def bracketed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrap(text: str) -> str:
        return f"{OPEN}{text}{CLOSE}" if text else text

    def plural(one: str, many: str, number: int) -> str:
        return wrap(one if number == 1 else many)

    backend: Any = translation._trans  # type: ignore[attr-defined]
    monkeypatch.setattr(backend, "gettext", wrap)
    monkeypatch.setattr(backend, "ngettext", plural)
    monkeypatch.setattr(backend, "pgettext", lambda _context, text: wrap(text))
    monkeypatch.setattr(backend, "npgettext", lambda _context, one, many, number: plural(one, many, number))


# What has one form in every language: units, terms of the API, and names that people gave.
NAMES = (
    r"[\d.,]+ ?([munk]?s|[KMG]i?B|B)?|p50|p95|UTC|\S+Z|\u00b7|\( ?\)|\(owner\)",
    r"jobservice|JSON|curl|Node|Python|Go|Ruby|PHP|v1a?|null|true|false|\[.*\]|\{.*\}|g [a-z]|[a-z]",
    r"owner|operator|service|console|handler|handlers|egress|deliveries|enabled|active|changed|no-worker",
    r"[a-z]+([:.-][a-z-]+)+|[a-z]{3}_[\w\u2026]+|echo|default|first key",
    r"(of-)?tenant-\d+|[\w-]+@[\w.-]+|http://127\.0\.0\.1:9/events",
)
# Sentences of the API's own contract, shown as they are.
OF_THE_API = re.compile(r"There is no [a-z ]+ of this id\.|No worker of the pool handlers was seen in the last 10 s\.")


def _is_name(words: str) -> bool:
    columns = {column for fields in FIELDS.values() for column in fields.plain + fields.changed_only}
    return all(
        any(re.fullmatch(name, word) for name in NAMES) or word in columns
        for word in re.split(r" (?=\u00b7)|(?<=\u00b7) | (?=\()", words)
    )


@pytest.mark.parametrize("visitor", [logged_in, lambda _tenant: make_operator()], ids=["member", "operator"])
def test_every_word_of_every_page_can_be_translated(visitor: Any, tenant: Tenant, bracketed: None) -> None:
    browser = visitor(tenant)
    make_job(tenant)
    seen = 0
    for name, (method, _view, route, _permission) in sorted(PAGES.items()):
        answer = browser.get(address(route, tenant)) if method == "GET" else None
        if answer is not None and answer.headers.get("Content-Type", "").startswith("text/html"):
            words = Words()
            words.feed(answer.content.decode())
            seen += 1
            assert [one for one in words.found if not (_is_name(one) or OF_THE_API.fullmatch(one))] == [], name
    assert seen > 12


def words_outside(answer: Any) -> str:
    """All of them, as one text."""
    words = Words()
    words.feed(answer.content.decode())
    return " ".join(words.found)


def test_what_an_operator_is_told_of_a_wrong_reason_and_of_no_tenant_can_be_translated(
    tenant: Tenant, bracketed: None
) -> None:
    operator = make_operator()
    path = f"/console/operator/tenants/{show_id(TENANT, tenant.id)}"
    for act in ("suspend", "resume", "visit"):
        answer = operator.post(f"{path}/{act}", reason="")
        assert "printable characters" in answer.content.decode(), act
        assert "printable characters" not in words_outside(answer), act
    answer = operator.get("/console/operator/tenants/nothing")
    assert "There is no such tenant" in answer.content.decode()
    assert "no such tenant" not in words_outside(answer)


def test_what_is_told_of_the_checks_can_be_translated(tenant: Tenant, bracketed: None) -> None:
    operator = make_operator()
    statuses = {"a": "problem", "b": "warning", "c": "warning", "d": "ok"}
    found = [{"name": name, "status": status, "detail": "", "fix": ""} for name, status in statuses.items()]
    keep_findings(found, begun_at=read_clock())
    now = read_clock()
    states: list[dict[str, Any]] = [{}, {"wanted_at": now}, {"taken_at": now}]
    for state in (*states, *({"failure": failure} for failure in FAILURES)):
        HealthReport.objects.update(**state)
        words = Words()
        answer = operator.get("/console/operator/health")
        words.feed(answer.content.decode())
        assert [one for one in words.found if not _is_name(one)] == [], state
        assert (
            f"{OPEN}1 problem{CLOSE} \u00b7 {OPEN}2 warnings{CLOSE} \u00b7 {OPEN}1 ok{CLOSE}" in answer.content.decode()
        )


def write_catalogue(path: Path, words: dict[str, str]) -> None:
    """A compiled catalogue (`.mo`), as GNU gettext's manual lays it out."""
    pairs = [(key.encode(), value.encode()) for key, value in sorted({"": HEADER, **words}.items())]
    texts, at = b"", 28 + 16 * len(pairs)
    tables: list[list[int]] = [[], []]
    for column, table in enumerate(tables):
        for pair in pairs:
            table += [len(pair[column]), at + len(texts)]
            texts += pair[column] + b"\0"
    head = (0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, at)
    path.parent.mkdir(parents=True)
    path.write_bytes(struct.pack(f"<7I{4 * len(pairs)}I", *head, *tables[0], *tables[1]) + texts)


def test_a_page_speaks_the_best_of_the_browsers_languages_that_there_is(
    settings: Any, tmp_path: Path, db: None
) -> None:
    write_catalogue(tmp_path / "de" / "LC_MESSAGES" / "django.mo", {"Log in": "Anmelden"})
    settings.LOCALE_PATHS, settings.LANGUAGES = [tmp_path], [("en", "English"), ("de", "Deutsch")]
    for asked, language, title in (("fr, de-CH;q=0.8, en;q=0.5", "de", "Anmelden"), ("fr", "en", "Log in")):
        page = Browser().get("/console/login", **{"Accept-Language": asked}).content.decode()
        assert f'<html lang="{language}"' in page
        assert f"<title>{title} " in page


def test_drawings_are_the_same_in_a_language_that_writes_numbers_with_a_comma(
    settings: Any, tmp_path: Path, tenant: Tenant
) -> None:
    write_catalogue(tmp_path / "de" / "LC_MESSAGES" / "django.mo", {})
    settings.LOCALE_PATHS, settings.LANGUAGES = [tmp_path], [("en", "English"), ("de", "Deutsch")]
    browser, drawn = logged_in(tenant), 0
    make_job(tenant)
    record(outcome_of(start(claim(1))[0]))
    fold()
    for name, (method, _view, route, _permission) in sorted(PAGES.items()):
        if method == "GET" and "export" not in route:
            page = browser.get(address(route, tenant), **{"Accept-Language": "de"}).content.decode()
            drawn += len(re.findall(r'(?:width|height|x|y)="\d+\.\d+"', page))
            assert re.findall(r'\b(?:width|height|x|y|d|value)="M?[\d., ]*\d,\d[^"]*"', page) == [], name
    assert drawn > 10
