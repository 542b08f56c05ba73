"""The example receiver as its users run it: its own process, called over loopback, signed by the public library."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tenants.signing_secrets import new_secret
from tests.serving import serving

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "receiver.py"
TEXT = {"type": "job.run", "data": {"payload": {"text": "To be\nor not to be"}}}
COUNTS = {"lines": 2, "words": 6, "bytes": 18}


@dataclass(frozen=True, slots=True)
class Running:
    port: int
    secret: str
    log: Path

    def post(self, body: bytes, headers: dict[str, str], *, path: str = "/work") -> tuple[int, Any, dict[str, str]]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return (
                answer.status,
                json.loads(answer.read()),
                {name.lower(): value for name, value in answer.getheaders()},
            )

    def send(
        self,
        message: object,
        *,
        message_id: str = "job_1",
        secret: str | None = None,
        age_seconds: float = 0,
        path: str = "/work",
        **headers: str,
    ) -> tuple[int, Any, dict[str, str]]:
        body = json.dumps(message)
        at = datetime.now(UTC) - timedelta(seconds=age_seconds)
        signed = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret or self.secret).sign(message_id, at, body),
        }
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post(body.encode(), {**signed, **given}, path=path)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


class Service(ThreadingHTTPServer):
    """Stands for the service: keeps what is POSTed to it, and answers what it is told, the last for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.statuses = [200]
        self.taken: queue.Queue[tuple[str, Any]] = queue.Queue()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Taker(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.put((self.path, json.loads(body)))
        self.send_response(self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0])
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Service()) as server:
        yield server


@contextlib.contextmanager
def running(folder: Path, service: Service) -> Iterator[Running]:
    secret, log = new_secret(), folder / "events.jsonl"
    command = [sys.executable, str(SCRIPT), "--secret", secret, "--port", "0", "--log", str(log)]
    command += ["--service", service.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield Running(int(child.stdout.readline().rsplit(":", 1)[1]), secret, log)
        finally:
            child.terminate()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("receiver"), service) as started:
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


def send_later(receiver: Running, url: str, message: object, message_id: str) -> tuple[int, Any, dict[str, str]]:
    return receiver.send(message, message_id=message_id, path="/later", Job_Complete_Url=url)


def test_it_completes_a_job_later_and_tries_again_while_the_service_is_away(
    receiver: Running, service: Service
) -> None:
    service.statuses = [503, 200]
    status, _, headers = send_later(receiver, f"{service.address}/v1/completions/abc", TEXT, "job_later")
    assert (status, headers["job-completion"]) == (202, "async")
    tries = [service.taken.get(timeout=60) for _ in range(2)]
    assert tries[0] == tries[1]
    path, completion = tries[0]
    assert (path, completion["outcome"]) == ("/v1/completions/abc", "completed")
    assert COUNTS.items() <= completion["result"].items()


def test_a_lost_lease_is_not_argued_with(receiver: Running, service: Service) -> None:
    service.statuses = [409, 200]
    send_later(receiver, f"{service.address}/v1/completions/lost", TEXT, "job_lost")
    service.taken.get(timeout=60)
    send_later(receiver, f"{service.address}/v1/completions/next", TEXT, "job_next")
    assert service.taken.get(timeout=60)[0] == "/v1/completions/next"


def test_a_payload_without_a_text_is_completed_as_failed_for_good(receiver: Running, service: Service) -> None:
    service.statuses = [200]
    bad = {"type": "job.run", "data": {"payload": None}}
    send_later(receiver, f"{service.address}/v1/completions/bad", bad, "job_bad_later")
    completion = service.taken.get(timeout=60)[1]
    assert (completion["outcome"], completion["permanent"], completion["error"]["code"]) == ("failed", True, "refused")


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/steal"])
def test_a_result_goes_to_no_address_but_the_services(receiver: Running, url: str) -> None:
    status, answer, _ = send_later(receiver, url, TEXT, f"job_at_once{len(url)}")
    assert status == 200
    assert COUNTS.items() <= answer.items()


def test_nobody_unsigned_makes_it_work_later(receiver: Running, service: Service) -> None:
    status, _, _ = receiver.send(
        TEXT, secret=new_secret(), path="/later", Job_Complete_Url=f"{service.address}/v1/completions/x"
    )
    assert status == 401
    assert service.taken.empty()


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
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert str(port) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_malformed_secret_is_said_in_one_sentence() -> None:
    command = [sys.executable, str(SCRIPT), "--secret", "whsec_%%%", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
