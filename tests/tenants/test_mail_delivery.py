"""Mail over a real socket: a login over TLS, servers that are away, busy, slow or without an end, and what arrives."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connections

from tenants import mail, mail_queue, smtp
from tenants.members import NewMember
from tenants.models import Member
from tests.committed_rows import remove_committed_rows
from tests.console.people import PASSWORD, Browser, join, logged_in
from tests.factories import Tenant, make_tenant
from tests.tenants.smtp import MailServer, Manners, mail_server, write_certificate

SECONDS = 30.0
SECRET, MAIL_PASSWORD = "js_invite_canary", "mail-canary"
Events = list[tuple[str, dict[str, Any]]]
FAILED, POSTPONED, SENT = "mail_failed", "mail_postponed", "mail_sent"


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """What the log tells of mails, which are tried twice more, at once."""
    noted: Events = []
    for module in (mail, mail_queue):
        monkeypatch.setattr(module, "log_event", lambda event, **fields: noted.append((event, fields)))
    monkeypatch.setattr(mail_queue, "DELAYS_SECONDS", (0.05, 0.05))
    return noted


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def use_server(url: str, mail_from: str = "") -> None:
        environment = replace(settings.ENVIRONMENT, smtp_url=url, mail_from=mail_from, public_url="https://localhost")
        monkeypatch.setattr(settings, "ENVIRONMENT", environment)

    return use_server


@pytest.fixture
def committed_tenant(django_db_setup: None, django_db_blocker: Any) -> Iterator[Tenant]:
    """The thread that sends mails has a connection of its own, and sees only what is committed."""
    with django_db_blocker.unblock():
        yield make_tenant()
        remove_committed_rows()
        connections.close_all()


def invite(email: str = "ada@example.com", *, tenant_name: str = "acme") -> None:
    mail.send_invitation(NewMember(uuid4(), email, "viewer", False, datetime.now(UTC), SECRET), tenant_name=tenant_name)


def names(events: Events) -> list[str]:
    return [event for event, _ in events]


def await_last(events: Events, *last: str) -> None:
    """Wait until one of these is told; nothing secret is told with it."""
    end = time.monotonic() + SECONDS
    while not events or events[-1][0] not in last:
        assert time.monotonic() < end, events
        time.sleep(0.01)
    assert not any(secret in str(events) for secret in (SECRET, MAIL_PASSWORD, "ada@example.com"))


def said(server: MailServer, word: str) -> int:
    return sum(line.split(" ")[0].lower() == word for line in server.lines)


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_who_may_send_logs_in_over_tls_first(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[..., None], events: Events
) -> None:
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with mail_server(scheme, certificate, Manners(login=("jobs@x.org", f"{MAIL_PASSWORD}#:/@"))) as server:
        address = server.url.partition("://")[2]
        use(f"{scheme}://jobs%40x.org:{MAIL_PASSWORD}%23%3A%2F%40@{address}", mail_from="jobs@x.org")
        invite()
        await_last(events, SENT, FAILED)
    assert names(events) == [SENT]
    (message,) = server.messages
    assert (message["To"], message["From"], message["Subject"]) == (
        "ada@example.com",
        "jobs@x.org",
        "Invitation to acme",
    )
    assert f"https://localhost/console/invitation/{SECRET}" in message.get_content()


def test_a_wrong_password_sends_nothing_and_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[..., None], events: Events
) -> None:
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with mail_server("smtp+starttls", certificate, Manners(login=("jobs", "another"))) as server:
        use(server.url.replace("://", f"://jobs:{MAIL_PASSWORD}@"))
        invite()
        await_last(events, SENT, FAILED)
    assert events == [(FAILED, {"level": "error", "error_class": "SMTPAuthenticationError"})]
    assert SECRET not in str(server.lines)


def test_a_server_that_takes_tls_away_gets_neither_password_nor_link(use: Callable[..., None], events: Events) -> None:
    with mail_server("smtp") as server:  # offers no STARTTLS, as if somebody in between had cut it out
        use(server.url.replace("smtp://", f"smtp+starttls://jobs:{MAIL_PASSWORD}@"))
        invite()
        await_last(events, SENT, FAILED)
    assert events == [(FAILED, {"level": "error", "error_class": "SMTPNotSupportedError"})]
    assert [line for line in server.lines if not line.lower().startswith(("ehlo", "quit"))] == []


def test_a_mail_waits_for_a_server_that_is_away(
    monkeypatch: pytest.MonkeyPatch, use: Callable[..., None], events: Events
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    # So many tries that the server is back before the last one, however long it takes to begin.
    monkeypatch.setattr(mail_queue, "DELAYS_SECONDS", (0.1,) * 200)
    use(f"smtp://127.0.0.1:{port}")
    invite()
    await_last(events, POSTPONED)
    with mail_server("smtp", port=port) as server:
        await_last(events, SENT, FAILED)
    assert names(events)[-1] == SENT
    assert {fields.get("error_class") for event, fields in events if event == POSTPONED} == {"ConnectionRefusedError"}
    assert SECRET in str(server.lines)


def test_a_server_that_stays_away_is_given_up(use: Callable[..., None], events: Events) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    use(f"smtp://127.0.0.1:{port}")
    invite()
    await_last(events, SENT, FAILED)
    assert names(events) == [POSTPONED, POSTPONED, FAILED]
    assert events[-1][1] == {"level": "error", "error_class": "ConnectionRefusedError"}


@pytest.mark.parametrize(
    "refusals",
    [
        {"greeting": ["421 busy", ""]},
        {"mail": ["451 later", ""]},
        {"rcpt": ["450 greylisted", "450 greylisted", ""]},
        {"data": ["452 full", ""]},
    ],
)
def test_what_a_server_puts_off_is_sent_later(
    use: Callable[..., None], events: Events, refusals: dict[str, list[str]]
) -> None:
    with mail_server("smtp", manners=Manners(refusals=refusals)) as server:
        use(server.url)
        invite()
        await_last(events, SENT, FAILED)
    puts_off = len(next(iter(refusals.values()))) - 1
    assert names(events) == [POSTPONED] * puts_off + [SENT]
    assert (len(server.messages), server.clients) == (1, puts_off + 1)


@pytest.mark.parametrize(
    ("refusals", "error_class"),
    [
        ({"greeting": ["554 not you"]}, "SMTPConnectError"),
        ({"mail": ["550 not from there"]}, "SMTPSenderRefused"),
        ({"rcpt": ["550 nobody"]}, "SMTPRecipientsRefused"),
        ({"data": ["554 no"]}, "SMTPDataError"),
    ],
)
def test_what_a_server_refuses_is_not_sent_again_and_holds_up_nobody(
    use: Callable[..., None], events: Events, refusals: dict[str, list[str]], error_class: str
) -> None:
    (word, answers) = next(iter(refusals.items()))
    with mail_server("smtp", manners=Manners(refusals={word: [*answers, ""]})) as server:
        use(server.url)
        invite()
        await_last(events, FAILED, SENT)
        invite("grace@example.com")
        await_last(events, SENT)
    assert events == [(FAILED, {"level": "error", "error_class": error_class}), (SENT, {})]
    assert [message["To"] for message in server.messages] == ["grace@example.com"]


def test_what_is_said_to_the_farewell_does_not_send_it_twice(use: Callable[..., None], events: Events) -> None:
    with mail_server("smtp", manners=Manners(refusals={"quit": ["451 stay"]})) as server:
        use(server.url)
        invite()
        await_last(events, SENT, FAILED)
    assert (names(events), len(server.messages)) == ([SENT], 1)


@pytest.mark.parametrize("manners", [Manners(drips=True), Manners(silent_after="ehlo"), Manners(silent_after="data")])
def test_a_server_without_an_end_is_left_and_holds_up_no_request(
    monkeypatch: pytest.MonkeyPatch, use: Callable[..., None], events: Events, manners: Manners
) -> None:
    monkeypatch.setattr(smtp, "MAIL_SECONDS", 0.5)
    # So that it is the bound of the whole mail that ends it, and not that of an answer.
    monkeypatch.setattr(smtp, "ANSWER_SECONDS", 3600.0)
    monkeypatch.setattr(mail_queue, "DELAYS_SECONDS", ())
    has_asked, send = threading.Event(), smtp.send

    def send_when_asked(*arguments: Any) -> None:
        assert has_asked.wait(SECONDS)
        send(*arguments)

    monkeypatch.setattr(smtp, "send", send_when_asked)
    with mail_server("smtp", manners=manners) as server:
        use(server.url)
        invite()
        # Whoever asked goes on before anything is sent.
        begun_at = time.monotonic()
        has_asked.set()
        await_last(events, SENT, FAILED)
        assert time.monotonic() - begun_at > 0.4
    assert names(events) == [FAILED]
    assert events[0][1]["error_class"] in ("SMTPServerDisconnected", "SMTPConnectError")
    assert server.messages == []


def test_a_handshake_without_an_end_is_left_too(
    monkeypatch: pytest.MonkeyPatch, use: Callable[..., None], events: Events
) -> None:
    monkeypatch.setattr(smtp, "MAIL_SECONDS", 0.5)
    monkeypatch.setattr(mail_queue, "DELAYS_SECONDS", ())
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes the line and says nothing
        use(f"smtps://127.0.0.1:{deaf.getsockname()[1]}")
        invite()
        await_last(events, SENT, FAILED)
    assert names(events) == [FAILED]


@pytest.mark.parametrize("name", ["acme\r\nBcc: eve@example.com", "acme\n\nhello", "ä" * 300])
def test_a_tenants_name_is_no_header(use: Callable[..., None], events: Events, name: str) -> None:
    with mail_server("smtp") as server:
        use(server.url)
        invite(tenant_name=name)
        await_last(events, SENT, FAILED)
    (message,) = server.messages
    assert (message["Bcc"], message["To"]) == (None, "ada@example.com")
    assert message["Subject"] == " ".join(f"Invitation to {name}".split())
    assert said(server, "rcpt") == 1


@pytest.mark.deep
def test_an_invitation_and_a_reset_arrive_and_open_what_they_are_for(
    committed_tenant: Tenant, use: Callable[..., None], events: Events
) -> None:
    owner = logged_in(committed_tenant)
    with mail_server("smtp", manners=Manners(refusals={"rcpt": ["450 greylisted", ""]})) as server:
        use(server.url)
        shown = owner.post("/console/members/invite", {"email": "ada@example.com", "role": "viewer"})
        assert (shown.status_code, "js_invite_" in shown.content.decode()) == (200, False)
        await_last(events, SENT, FAILED)
        path = link_in(server)
        browser = Browser("192.0.2.1")
        assert browser.get(path).status_code == 200
        assert browser.post(path, {"password": PASSWORD}).status_code == 302
        assert Member.objects.get(email="ada@example.com").status == "active"
        browser.post("/console/logout")
        events.clear()
        browser.get("/console/reset")
        assert browser.post("/console/reset", {"email": "Ada@example.com"}).status_code == 200
        await_last(events, SENT, FAILED)
        path = link_in(server)
    browser.get(path)
    assert browser.post(path, {"password": "another long pass phrase"}).status_code == 200
    assert browser.log_in("ada@example.com", "another long pass phrase").status_code == 302
    assert browser.get("/console/").status_code == 200


@pytest.mark.deep
def test_a_link_that_was_put_off_is_the_one_that_arrives(
    committed_tenant: Tenant, use: Callable[..., None], events: Events
) -> None:
    join(committed_tenant, "ada@example.com")
    with mail_server("smtp", manners=Manners(refusals={"data": ["451 later", "451 later", ""]})) as server:
        use(server.url)
        mail.send_reset_link("ada@example.com")
        await_last(events, SENT, FAILED)
    assert names(events) == [POSTPONED, POSTPONED, SENT]
    assert len(server.messages) == 1
    assert Browser().get(link_in(server)).status_code == 200


def link_in(server: MailServer) -> str:
    """The path of the link in the latest mail."""
    (path,) = re.findall(r"https://localhost(/console/\S+)", server.messages[-1].get_content())
    return str(path)
