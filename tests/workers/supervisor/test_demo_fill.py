"""The fill of the demo tenant against a door that is away, busy or has seen it before."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jobservice.env import Environment
from tests.egress.test_policy import environment as some_environment
from workers.supervisor import demo_fill
from workers.supervisor.demo_fill import DemoFillError, fill_demo
from workers.supervisor.first_tenant import make_first_tenant, mark_path

INBOX = "http://127.0.0.1:8000/dev/inbox/x/y"


class Door(ThreadingHTTPServer):
    """Answers as told, by path; notes each request as method, path, key and idempotency key."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str, str | None, str | None]] = []
        self.answers: dict[str, list[tuple[int, Any]]] = {}

    def answer(self, path: str) -> tuple[int, Any]:
        planned = self.answers.get(path)
        if planned:
            return planned.pop(0)
        if path == "/v1/jobs/bulk":
            scheduled = {"id": "job_1", "type": "invoice.render", "state": "scheduled"}
            return 200, {"data": [{"job": scheduled}, {"job": {**scheduled, "id": "job_2", "state": "available"}}]}
        return 200, {"data": []}

    def paths(self) -> list[str]:
        return [f"{method} {path}" for method, path, _, _ in self.seen]


class _Handler(BaseHTTPRequestHandler):
    server: Door

    def _take(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key, once = self.headers.get("Authorization"), self.headers.get("Idempotency-Key")
        self.server.seen.append((self.command, self.path, key, once))
        status, body = self.server.answer(self.path)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_GET = do_PUT = do_POST = _take  # noqa: N815 (the names that the server looks for)

    def log_message(self, *_: Any) -> None:
        """Nothing: a test's output is its own."""


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_fill, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def door() -> Iterator[Door]:
    with Door() as door:
        thread = threading.Thread(target=door.serve_forever)
        thread.start()
        yield door
        door.shutdown()
        thread.join()


@pytest.fixture
def site(door: Door, tmp_path: Path) -> Environment:
    given = replace(some_environment(public_url="", host="127.0.0.1"), port=door.server_port, data_dir=tmp_path)
    make_first_tenant(given, make=lambda _: "the key", invite=lambda *_: "link", fills=True)
    return given


def test_everything_is_made_with_the_tenants_key_and_once(door: Door, site: Environment) -> None:
    fill_demo(site, inbox_url=INBOX)
    assert {key for _, _, key, _ in door.seen} == {"Bearer the key"}
    made = {path: once for method, path, _, once in door.seen if method == "POST"}
    assert made == {
        "/v1/webhook-endpoints": "demo-endpoint",
        "/v1/jobs/bulk": "demo-jobs",
        "/v1/jobs/job_1/cancel": None,
    }
    assert not mark_path(site).exists()


def test_without_an_inbox_there_is_no_endpoint(door: Door, site: Environment) -> None:
    fill_demo(site, inbox_url="")
    assert "POST /v1/webhook-endpoints" not in door.paths()
    assert not mark_path(site).exists()


def test_a_door_that_is_busy_is_asked_again(door: Door, site: Environment) -> None:
    door.answers["/v1/jobs/bulk"] = [(503, {}), (429, {"detail": "later"}), (409, {"code": "idempotency-key-in-use"})]
    fill_demo(site, inbox_url=INBOX)
    assert door.paths().count("POST /v1/jobs/bulk") == 4


def test_what_was_made_before_otherwise_stays_and_the_rest_is_gone_on_with(door: Door, site: Environment) -> None:
    for path in ("/v1/webhook-endpoints", "/v1/jobs/bulk"):
        door.answers[path] = [(422, {"code": "idempotency-key-reused"})]
    fill_demo(site, inbox_url=INBOX)
    assert door.paths().count("POST /v1/jobs/bulk") == 1
    assert not mark_path(site).exists()


def test_a_job_that_was_taken_back_before_is_no_fault(door: Door, site: Environment) -> None:
    door.answers["/v1/jobs/job_1/cancel"] = [(409, {"code": "job-terminal"})]
    fill_demo(site, inbox_url=INBOX)
    assert not mark_path(site).exists()


def test_a_refusal_is_told_and_the_fill_is_wanted_still(door: Door, site: Environment) -> None:
    door.answers["/v1/jobs/bulk"] = [(422, {"code": "validation", "detail": "no such type"})]
    with pytest.raises(DemoFillError, match="POST /v1/jobs/bulk was answered 422: no such type"):
        fill_demo(site, inbox_url=INBOX)
    assert mark_path(site).exists()


def test_a_door_that_stays_away_is_given_up(site: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_fill, "TRIES", 2)
    with pytest.raises(DemoFillError, match="answered 503"):
        fill_demo(replace(site, port=1), inbox_url=INBOX)
    assert mark_path(site).exists()
