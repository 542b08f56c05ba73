"""What somebody writes is a text on every screen: nothing of it is run, fetched or taken for markup. With the policy of
the pages in force, and without it, so that it is the pages that are right and not only the browser that is careful.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import psycopg
import pytest
from playwright.sync_api import Browser

from jobservice.field_checks import NAME
from tests.chaos.site import superuser_url
from tests.journeys.console.hostile_doors import Put, put_texts
from tests.journeys.console.hostile_people import People, put_people
from tests.journeys.console.hostile_receiver import receiving_hostilely
from tests.journeys.console.hostile_texts import FEW, POLYGLOTS, TEXTS, chunks
from tests.journeys.console.session import CHROMIUM, violations
from tests.journeys.console.watching import Watched, plain, watching
from tests.journeys.product import Product, running, wait_until
from tests.ports import free_port

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")

SCREENS: tuple[str, ...] = (
    *("overview", "jobs", "jobs/json", "errors", "queues", "usage", "keys", "webhooks", "audit", "settings"),
    *("members", "account", "tenants", "bulk-actions/x", "jobs/x", "login", "step-up", "reset", "nowhere"),
)
# Everything that any screen reads of its address.
PARAMETERS: tuple[str, ...] = (
    *("q", "state", "type", "range", "cursor", "next", "actor", "action", "object", "since", "until", "event"),
    *("groups", "jobs", "first", "tables", "error"),
)
# Where each page shows the same field with other texts, every so many of them is looked at.
SOME = 5


@dataclass(frozen=True)
class Hostile:
    """A product full of hostile texts."""

    product: Product
    put: Put
    people: People


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    port = free_port()
    environment = {
        "PORT": str(port),
        "JOBSERVICE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "JOBSERVICE_HANDLERS": "tests.journeys.console.hostile_handlers",
        # That of a real start, for nothing is killed here.
        "JOBSERVICE_LEASE_SECONDS": "30",
    }
    folder = tmp_path_factory.mktemp("hostile") / "var"
    with running(folder, **environment) as product, receiving_hostilely() as receiver:
        product.port = port
        product.command("set_quota", "demo", "api_keys=1000")
        put = put_texts(product, receiver)
        yield Hostile(product, put, put_people(product))


def test_the_corpus_is_about_as_large_as_it_says() -> None:
    assert len(TEXTS) >= 300
    assert sum("xss" in text for text in TEXTS) > 250


def test_what_is_a_name_takes_no_such_text_and_what_is_a_text_takes_all(hostile: Hostile) -> None:
    """Fields that refuse them: what they take of them is harmless. Fields that take free texts are on the screens."""
    taken = hostile.put.taken
    harmless = [text for text in TEXTS if NAME.fullmatch(text)]
    assert taken["type"] == ()
    assert [*taken["queue"]] == [*taken["tag name"]] == harmless == ["constructor", "null", "undefined"]
    assert not set("<>\"'&(){}:= ") & set("".join(taken["header name"]))
    printable = tuple(text for text in FEW if text.isprintable())
    assert len(printable) > len(FEW) * 0.8
    assert taken["API key name"] == hostile.people.tenants == printable
    assert hostile.people.agents == TEXTS
    # A quoted part of an address holds nearly everything, and nothing outside of it does.
    assert len(hostile.people.members) > 50
    bare = "".join(text.rpartition('"')[2] for text in hostile.people.members)
    assert not set("<>") & set(bare)


@pytest.mark.parametrize("has_policy", [True, False], ids=["with the policy", "without the policy"])
def test_nothing_runs_and_all_is_shown_as_text_on_every_screen(
    hostile: Hostile, browser: Browser, has_policy: bool
) -> None:
    missing: list[str] = []
    with watching(browser, hostile.product, hostile.people.owner, has_policy=has_policy) as watched:
        prove_again(hostile.product)
        missing += look_at_jobs(watched, hostile)
        prove_again(hostile.product)
        missing += look_at_settings(watched, hostile)
        missing += search(watched)
        send_forms(watched, hostile)
        pages, noticed = watched.pages, watched.noticed
    with watching(browser, hostile.product, hostile.people.traveller, has_policy=has_policy) as watched:
        missing += lacking(watched.visit("/console/tenants"), hostile.people.tenants, "tenants")
        noticed += watched.noticed
    assert (noticed, missing) == ([], [])
    assert pages > 100


def test_what_watches_for_it_sees_it(hostile: Hostile, browser: Browser) -> None:
    for has_policy in (True, False):
        with watching(browser, hostile.product, hostile.people.owner, has_policy=has_policy) as watched:
            watched.visit("/console/usage")
            assert watched.noticed == []
            watched.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=/x onerror=xss(0)>')")
            wait_until(lambda watched=watched: has_seen(watched), seconds=60, what="it runs, or is refused")  # type: ignore[misc]
            watched.look()
            assert any("ran in" in line for line in watched.noticed) is not has_policy
            assert any("against the policy" in line for line in watched.noticed) is has_policy
            assert any("an element of somebody's" in line for line in watched.noticed)


def prove_again(product: Product) -> None:
    """As if everybody had just proved who they are: to look at all takes longer than a proof is good for."""
    now = "jsonb_build_object('stepped_up_at', extract(epoch FROM clock_timestamp()))"
    with psycopg.connect(superuser_url(product), autocommit=True) as connection:
        connection.execute(f"UPDATE login_session SET data = data || {now} WHERE data ? 'stepped_up_at'")


def has_seen(watched: Watched) -> bool:
    """Whether anything came of the element. To ask the page lets it tell what it has noticed, too."""
    return violations(watched.page) != [] or any("ran in" in line for line in watched.noticed)


def lacking(shown: str, texts: Iterable[str], where: str) -> list[str]:
    """Those of the texts that are not on the page as they are."""
    return [f"{where} lacks {text!r}" for text in texts if plain(text) not in shown]


def lacking_json(shown: str, texts: Iterable[str], where: str) -> list[str]:
    return lacking(shown, [json.dumps(text, ensure_ascii=False)[1:-1] for text in texts], where)


def look_at_jobs(watched: Watched, hostile: Hostile) -> Iterator[str]:
    put, seen = hostile.put, ""
    for job, chunk in put.failed:
        shown = watched.visit(f"/console/jobs/{job}")
        yield from lacking(shown, ["\n".join(chunk), *chunk], "a failed job")
    for job, chunk in put.running:
        yield from lacking(watched.visit(f"/console/jobs/{job}"), ["\n".join(chunk)[:1000], *chunk], "a running job")
    # It is laid out anew by itself, every two seconds.
    watched.page.wait_for_timeout(2500)
    watched.look()
    for kind in ("failed", "running"):
        yield from lacking_json(
            watched.visit(f"/console/jobs/{getattr(put, kind)[0][0]}/json"), getattr(put, kind)[0][1], "JSON"
        )
    for address in pages_of(watched, "/console/jobs"):
        seen += watched.visit(address)
    watched.page.wait_for_timeout(2500)
    yield from lacking(seen, [text for _job, chunk in put.failed for text in chunk[:2]], "the list of jobs")
    watched.visit("/console/jobs/json")
    yield from look_at_payload(watched, put)
    seen = "".join(watched.visit(address) for address in pages_of(watched, "/console/errors"))
    yield from lacking(seen, [chunk[0] for _job, chunk in put.failed], "errors")
    for link in links_to(watched, "/console/errors", "/console/errors/err_")[::SOME]:
        watched.visit(link)


def look_at_payload(watched: Watched, put: Put) -> Iterator[str]:
    job = put.failed[0][0]
    watched.visit(f"/console/jobs/{put.whole}")
    yield from lacking_json(watched.send("/reveal"), TEXTS, "a payload and a result")
    watched.visit(f"/console/jobs/{job}")
    yield from lacking_json(watched.send("/reveal"), put.failed[0][1], "a payload and its metadata")
    watched.visit(f"/console/jobs/{put.whole}")
    yield from lacking_json(watched.send("/edit"), TEXTS, "the editor")
    for text in ("\n".join(TEXTS), *POLYGLOTS):
        yield from lacking(watched.send("/retry-edited", payload=text), [text], "what was typed")
    watched.visit(f"/console/jobs/{put.checked}")
    watched.send("/edit")
    for chunk in chunks()[::SOME]:
        typed = json.dumps(dict.fromkeys(chunk, "x"), ensure_ascii=False)
        pointers = [text.replace("~", "~0").replace("/", "~1") for text in chunk]
        yield from lacking(watched.send("/retry-edited", payload=typed), pointers, "pointers of violations")


def look_at_settings(watched: Watched, hostile: Hostile) -> Iterator[str]:
    put, people = hostile.put, hostile.people
    seen = "".join(watched.visit(address) for address in pages_of(watched, "/console/keys"))
    yield from lacking(seen, put.taken["API key name"], "keys")
    for link in (*links_to(watched, "/console/keys", "/rotate"), *links_to(watched, "/console/keys", "/revoke"))[::20]:
        watched.visit(link)
    seen = "".join(watched.visit(address) for address in pages_of(watched, "/console/audit"))
    yield from lacking(seen, put.taken["API key name"], "the audit log")
    for endpoint, url in put.endpoints:
        yield from lacking(watched.visit(f"/console/webhooks/{endpoint}/edit"), [url], "an endpoint")
    watched.visit("/console/webhooks")
    watched.visit(f"/console/webhooks/{put.endpoints[0][0]}")
    answers = watched.send("/answers")
    yield from lacking(answers, TEXTS, "answers of an endpoint")
    yield from lacking(watched.visit("/console/account"), people.agents, "browsers of sessions")
    yield from lacking(watched.visit("/console/members"), people.members, "members")
    for screen in ("settings", "usage", "queues", "overview?tables=1", "errors?state=ignored"):
        yield from lacking(watched.visit(f"/console/{screen}"), POLYGLOTS[:1], "the tenant's name")


def search(watched: Watched) -> Iterator[str]:
    for chunk in chunks():
        text = " ".join(chunk)
        yield from lacking(watched.visit(f"/console/jobs?{urlencode({'q': text})}"), [text], "the search bar")
    for screen in SCREENS:
        watched.visit(f"/console/{screen}?{urlencode(dict.fromkeys(PARAMETERS, ' '.join(POLYGLOTS)))}")


def send_forms(watched: Watched, hostile: Hostile) -> None:
    """What is refused is shown again."""
    text = " ".join(TEXTS)
    for path, fields in (
        ("/console/webhooks/new", ("url", "queues", "types", "headers")),
        ("/console/keys/new", ("name", "queues", "cidrs")),
    ):
        watched.visit(path)
        watched.send("", **dict.fromkeys(fields, text))
    for text in POLYGLOTS:
        watched.visit("/console/members")
        watched.send("/invite", email=text)


def pages_of(watched: Watched, path: str) -> Iterator[str]:
    """The address of a list, and those of its older pages, each once the one before it was looked at."""
    following: str | None = path
    while following:
        yield following
        following = watched.page.evaluate("document.querySelector('[rel=next]')?.getAttribute('href')")
        if following and following.startswith("?"):
            following = path + following


def links_to(watched: Watched, path: str, part: str) -> list[str]:
    watched.visit(path)
    found: list[str] = watched.page.evaluate(
        "(part) => [...document.querySelectorAll('main a')].map((one) => one.getAttribute('href'))"
        ".filter((href) => href.includes(part))",
        part,
    )
    return list(dict.fromkeys(found))
