"""The Celery tasks: whole messages of the right kind reach whoever takes them, all others are dropped and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from celery import signals
from django.conf import settings

from jobservice.celery import app
from jobservice.crypto.message_mac import MessageKey, Ref, encode_message, load_message_key
from jobservice.ids import new_id
from workers import tasks
from workers.tasks import run_jobs, send_deliveries, take_messages


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Sequence[Ref]]]:
    """What the takers of jobs and deliveries were given."""
    given: dict[str, list[Sequence[Ref]]] = {"jobs": [], "deliveries": []}
    monkeypatch.setattr(tasks, "_takers", {})
    take_messages(jobs=given["jobs"].append, deliveries=given["deliveries"].append)
    return given


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    reasons: list[Any] = []

    def note(event: str, **fields: Any) -> None:
        reasons.append((event, fields["reason"]))

    monkeypatch.setattr(tasks, "log_event", note)
    return reasons


def _key() -> MessageKey:
    return load_message_key(settings.ENVIRONMENT.message_key_file)


def _refs() -> tuple[Ref, ...]:
    return (Ref(new_id(), new_id(), 1), Ref(new_id(), new_id(), 2))


def test_the_tasks_have_the_names_the_dispatcher_sends_to() -> None:
    assert {"run_jobs", "send_deliveries"} <= set(app.tasks)


def test_a_message_reaches_its_taker(taken: dict[str, Any], refusals: list[Any]) -> None:
    jobs, deliveries = _refs(), _refs()
    run_jobs(encode_message("jobs", jobs, _key()))
    send_deliveries(encode_message("deliveries", deliveries, _key()))
    assert taken == {"jobs": [jobs], "deliveries": [deliveries]}
    assert refusals == []


def _forge(change: Any) -> Any:
    message = encode_message("jobs", _refs(), _key())
    return {**message, **change}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (None, "malformed"),
        ("text", "malformed"),
        ([], "malformed"),
        ({"v": 1}, "malformed"),
        ({"v": 2}, "unknown-version"),
        (lambda: _forge({"mac": "0" * 64}), "bad-mac"),
        (lambda: _forge({"kind": "deliveries"}), "bad-mac"),
        (lambda: encode_message("jobs", _refs(), replace(_key(), secrets=(b"x" * 32,))), "bad-mac"),
        (lambda: encode_message("deliveries", _refs(), _key()), "wrong-kind"),
    ],
)
def test_any_other_message_is_dropped_and_counted(
    taken: dict[str, Any], refusals: list[Any], message: Any, reason: str
) -> None:
    run_jobs(message() if callable(message) else message)
    assert taken["jobs"] == []
    assert refusals == [("message_refused", reason)]


def test_a_process_that_sends_no_deliveries_drops_them(monkeypatch: pytest.MonkeyPatch, refusals: list[Any]) -> None:
    monkeypatch.setattr(tasks, "_takers", {})
    take_messages(jobs=lambda refs: None)
    send_deliveries(encode_message("deliveries", _refs(), _key()))
    assert refusals == [("message_refused", "wrong-kind")]


def test_a_worker_that_our_command_did_not_start_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tasks, "_takers", {})
    with pytest.raises(SystemExit) as ending:
        signals.worker_init.send(sender=None)
    assert ending.value.code == 2
    assert "manage.py worker" in capsys.readouterr().err
