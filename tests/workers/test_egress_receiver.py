"""The example receiver as its users run it: its own process, called over loopback, signed by the public library."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tenants.signing_secrets import new_secret

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "receiver.py"
TEXT = {"type": "job.run", "data": {"payload": {"text": "To be\nor not to be"}}}
COUNTS = {"lines": 2, "words": 6, "bytes": 18}


@dataclass(frozen=True, slots=True)
class Running:
    port: int
    secret: str
    log: Path

    def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("POST", "/work", body, headers)
            answer = connection.getresponse()
            return (
                answer.status,
                json.loads(answer.read()),
                {name.lower(): value for name, value in answer.getheaders()},
            )

    def send(
        self, message: object, *, message_id: str = "job_1", secret: str | None = None, age_seconds: float = 0
    ) -> tuple[int, Any, dict[str, str]]:
        body = json.dumps(message)
        at = datetime.now(UTC) - timedelta(seconds=age_seconds)
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret or self.secret).sign(message_id, at, body),
        }
        return self.post(body.encode(), headers)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Running]:
    secret, log = new_secret(), folder / "events.jsonl"
    command = [sys.executable, str(SCRIPT), "--secret", secret, "--port", "0", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield Running(int(child.stdout.readline().rsplit(":", 1)[1]), secret, log)
        finally:
            child.terminate()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("receiver")) as started:
        yield started


def test_it_does_the_work_of_a_job(receiver: Running) -> None:
    status, answer, _ = receiver.send(TEXT, message_id="job_counts")
    assert status == 200
    assert COUNTS.items() <= answer.items()
    assert answer["most_common"][:2] == [{"word": "to", "count": 2}, {"word": "be", "count": 2}]


def test_a_job_that_comes_again_gets_its_first_answer(receiver: Running) -> None:
    first = receiver.send(TEXT, message_id="job_twice")[1]
    other = {"type": "job.run", "data": {"payload": {"text": "changed"}}}
    assert receiver.send(other, message_id="job_twice")[1] == first


def test_a_payload_without_a_text_is_refused_for_good(receiver: Running) -> None:
    status, _, headers = receiver.send({"type": "job.run", "data": {"payload": None}}, message_id="job_bad")
    assert (status, headers["job-retry"]) == (422, "false")


def test_an_event_is_kept_once_however_often_it_comes(receiver: Running) -> None:
    event = {"type": "job.completed", "data": {"job": {"id": "job_9"}}}
    for _ in range(3):
        assert receiver.send(event, message_id="evt_9")[0] == 200
    assert [kept for kept in receiver.events() if kept["webhook_id"] == "evt_9"] == [{"webhook_id": "evt_9", **event}]


@pytest.mark.parametrize(("age_seconds", "status"), [(0, 200), (290, 200), (310, 401), (-290, 200), (-310, 401)])
def test_a_timestamp_is_good_for_five_minutes_either_way(receiver: Running, age_seconds: float, status: int) -> None:
    assert receiver.send(TEXT, message_id=f"job_age{age_seconds}", age_seconds=age_seconds)[0] == status


def test_another_secrets_signature_is_refused(receiver: Running) -> None:
    assert receiver.send(TEXT, message_id="job_forged", secret=new_secret())[0] == 401


def test_one_good_signature_among_several_is_enough(receiver: Running) -> None:
    body, at = json.dumps(TEXT), datetime.now(UTC)
    signatures = [Webhook(secret).sign("job_rotated", at, body) for secret in (new_secret(), receiver.secret)]
    headers = {
        "Webhook-Id": "job_rotated",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": " ".join(signatures),
    }
    assert receiver.post(body.encode(), headers)[0] == 200
    assert receiver.post(body.replace("not", "n0t").encode(), headers)[0] == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_signed_body_that_is_no_event_is_refused(receiver: Running, body: bytes) -> None:
    at = datetime.now(UTC)
    text = body.decode("latin-1")
    headers = {"webhook-id": "evt_odd", "webhook-timestamp": str(int(at.timestamp()))}
    headers["webhook-signature"] = Webhook(receiver.secret).sign("evt_odd", at, text)
    assert receiver.post(text.encode(), headers)[0] == 400


def test_a_request_without_headers_is_refused(receiver: Running) -> None:
    assert receiver.post(b"{}", {})[0] == 401


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, str(SCRIPT), "--secret", new_secret(), "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert str(port) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_malformed_secret_is_said_in_one_sentence() -> None:
    command = [sys.executable, str(SCRIPT), "--secret", "whsec_%%%", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
