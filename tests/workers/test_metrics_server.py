"""The port on which a process without the web serves the metrics of its machine."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.metering import Moment, parse_metrics
from tests.workers.forks import ForkedChild, forked
from workers import metrics_server
from workers.metrics_server import serve_metrics

pytestmark = pytest.mark.deep


@pytest.fixture
def port() -> Iterator[int]:
    server = serve_metrics("127.0.0.1", 0, token="the-operators-token")
    yield server.server_port
    server.shutdown()
    server.server_close()


def ask(port: int, path: str = "/metrics", *, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_a_process_without_the_web_serves_the_same_metrics_on_a_port_of_its_own(port: int) -> None:
    status, text = ask(port)
    assert status == 200
    assert ("jobservice_jobs_accepted_total", frozenset({"executor": "handler"}.items())) in parse_metrics(text)
    assert ask(port, "/")[0] == 404
    assert ask(port, "/metrics/..")[0] == 404
    assert ask(port, method="POST")[0] == 405


def test_the_port_refuses_what_is_forwarded_and_takes_the_token(port: int) -> None:
    assert ask(port, X_Forwarded_For="127.0.0.1")[0] == 403
    assert ask(port, X_Forwarded_For="127.0.0.1", Authorization="Bearer wrong")[0] == 403
    assert ask(port, X_Forwarded_For="127.0.0.1", Authorization="Bearer the-operators-token")[0] == 200
    assert ask(port, Host="evil.example")[0] == 403


def test_processes_of_one_machine_share_the_port_and_a_child_does_not_keep_it(port: int) -> None:
    def stay(child: ForkedChild) -> None:
        child.tell()
        child.hear()

    with forked(stay) as child:
        child.hear()
        second = serve_metrics("127.0.0.1", port, token="")
        assert ask(port)[0] == 200
        second.shutdown()
        second.server_close()
        held = {str(path.readlink()) for path in Path(f"/proc/{child.pid}/fd").iterdir()}
        assert not {f"socket:[{inode}]" for inode in _listening_inodes(port)} & held


def _listening_inodes(port: int) -> list[str]:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[9] for row in rows if row[1] == f"0100007F:{port:04X}" and row[3] == "0A"]


def test_a_port_that_cannot_be_had_is_said_and_the_process_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = Moment()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment: Any = type("E", (), {})()
        environment.metrics_dir, environment.metrics_host = tmp_path, "127.0.0.1"
        environment.metrics_port, environment.metrics_token = taken.getsockname()[1], ""
        monkeypatch.setattr(metrics_server, "keep_metrics_in", lambda path: None)
        metrics_server.share_metrics(environment)
    assert moment.moved("jobservice_warnings_total", event="metrics_port_unusable") == 1
