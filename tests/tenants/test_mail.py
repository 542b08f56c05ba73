"""Mail: to whom the server shows that it is, in a bounded line, with no connection of the database held meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection

from tenants import mail, mail_queue, smtp
from tenants.accounts import ResetLink
from tenants.members import NewMember
from tests.tenants.smtp import mail_server, write_certificate

SECONDS = 30.0
SECRET = "js_invite_canary"
Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[Events]:
    noted: Events = []
    for module in (mail, mail_queue):
        monkeypatch.setattr(module, "log_event", lambda event, **fields: noted.append((event, fields)))
    yield noted
    mail_queue._waiting.join()
    mail_queue._postponed.clear()


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def use_server(url: str) -> None:
        environment = replace(settings.ENVIRONMENT, smtp_url=url, public_url="https://jobs.example")
        monkeypatch.setattr(settings, "ENVIRONMENT", environment)

    return use_server


def invite() -> None:
    mail.send_invitation(
        NewMember(uuid4(), "ada@example.com", "viewer", False, datetime.now(UTC), SECRET), tenant_name="acme"
    )
    mail_queue._waiting.join()


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_server_that_nobody_vouches_for_gets_no_mail(
    scheme: str, tmp_path: Path, use: Callable[[str], None], events: Events
) -> None:
    with mail_server(scheme, write_certificate(tmp_path)) as server:
        use(server.url.replace("://", "://user:password@"))
        invite()
    assert events == [("mail_failed", {"level": "error", "error_class": "SSLCertVerificationError"})]
    assert SECRET not in str(server.lines)
    assert "AUTH" not in str(server.lines)


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_server_of_another_name_gets_no_mail(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[str], None], events: Events
) -> None:
    certificate = write_certificate(tmp_path, address="127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with mail_server(scheme, certificate) as server:
        use(server.url)
        invite()
    assert events == [("mail_failed", {"level": "error", "error_class": "SSLCertVerificationError"})]
    assert SECRET not in str(server.lines)


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls", "smtp"])
def test_a_server_that_the_machine_trusts_gets_it(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[str], None], events: Events
) -> None:
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with mail_server(scheme, certificate) as server:
        use(server.url)
        invite()
    assert events == [("mail_sent", {})]
    assert SECRET in str(server.lines)


@pytest.mark.django_db
def test_no_connection_of_the_database_is_held_while_a_mail_is_sent(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[str], None], events: Events
) -> None:
    held: list[bool] = []

    def make_link(account_id: Any) -> ResetLink:
        connection.ensure_connection()
        return ResetLink(account_id, "ada@example.com", datetime.now(UTC), "js_reset_x")

    def connect(_parts: Any) -> Any:
        held.append(connection.connection is not None)
        raise OSError

    monkeypatch.setattr(mail, "find_account", lambda _email: type("Account", (), {"id": uuid4()}))
    monkeypatch.setattr(mail, "make_mailed_link", make_link)
    monkeypatch.setattr(smtp, "_connect", connect)
    use("smtp://127.0.0.1:1")
    mail.send_reset_link("ada@example.com")
    mail_queue._waiting.join()
    assert held == [False]
    assert events == [("mail_postponed", {"level": "warning", "error_class": "OSError"})]


def mail_threads() -> int:
    """How many send mails; threads that do other things come and go."""
    return sum(thread.name == "mail" for thread in threading.enumerate())


def test_however_many_are_asked_for_one_thread_sends_and_what_is_too_much_is_dropped(
    monkeypatch: pytest.MonkeyPatch, events: Events
) -> None:
    monkeypatch.setattr(mail_queue, "_waiting", Queue(3))
    monkeypatch.setattr(mail_queue, "_thread", None)
    may_go, has_begun, sent = threading.Event(), threading.Event(), []
    before = mail_threads()

    def act() -> None:
        has_begun.set()
        assert may_go.wait(SECONDS)
        sent.append(threading.current_thread().name)

    mail_queue.send_later(act)
    assert has_begun.wait(SECONDS)
    for _ in range(10):
        mail_queue.send_later(act)
    assert mail_threads() == before + 1
    assert events == [("mail_dropped", {"level": "error"})] * 7
    may_go.set()
    mail_queue._waiting.join()
    assert sent == ["mail"] * 4
