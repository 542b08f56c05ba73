"""A real web process over the test's database, spoken to byte by byte."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection

from tenants.rls import role_name
from tests.ports import free_port
from tests.stopwatch import Stopwatch
from workers.supervisor.connections import change_login

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
CONFIGURATION = "tests/security/hasty_gunicorn.py"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to one request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def status_code(self) -> int:
        return self.status

    @property
    def content(self) -> bytes:
        return self.body

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class WebServer:
    """gunicorn with one worker and four threads."""

    port: int
    master: subprocess.Popen[bytes]
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def worker_pid(self) -> int:
        children = Path(f"/proc/{self.master.pid}/task/{self.master.pid}/children").read_text().split()
        return int(children[-1])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)

    def send(self, *parts: bytes, is_ended: bool = False) -> Answer | None:
        """The answer to these bytes on a connection of their own; None when it is closed without one."""
        with closing(self.connect()) as client:
            for part in parts:
                client.sendall(part)
            if is_ended:
                client.shutdown(socket.SHUT_WR)
            return read_answer(client)

    def healthz_seconds(self) -> float:
        """How long another client waits for an answer now, on a machine that moves."""
        url = f"http://127.0.0.1:{self.port}/healthz"
        with Stopwatch() as watch, urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            assert answer.status == 200
        return watch.moving_seconds

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.worker_pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Ask it to end, as a deploy does."""
        self.master.send_signal(signal.SIGTERM)


def read_answer(client: socket.socket) -> Answer | None:
    response = http.client.HTTPResponse(client)
    try:
        response.begin()
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return None
    return Answer(response.status, dict(response.getheaders()), response.read())


@contextmanager
def running_web(folder: Path, *, database_url: str | None = None, **variables: str) -> Iterator[WebServer]:
    """A started server over the test's database, reached by this address if given; ended at the end of the block."""
    log_path, port = folder / "web.log", free_port()
    environment = {
        **os.environ,
        "JOBSERVICE_PROCESS": "web",
        "JOBSERVICE_WEB_DATABASE_URL": database_url or web_database_url(),
        "JOBSERVICE_WEB_WORKERS": "1",
        "JOBSERVICE_WEB_THREADS": "4",
        "PORT": str(port),
        **variables,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", CONFIGURATION, "jobservice.wsgi:application"]
    with log_path.open("wb") as log:
        master = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    server = WebServer(port, master, log_path)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        if master.poll() is None:
            server.stop()
        try:
            master.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            master.kill()
            master.wait()


def _wait_until_ready(server: WebServer) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and server.master.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"not ready:\n{server.log[-3000:]}")


def web_database_url() -> str:
    """The test's database as the web's role sees it, with a login made for this run."""
    name, password = str(connection.settings_dict["NAME"]), secrets.token_hex(16)
    role = role_name("web", name)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {connection.ops.quote_name(role)} LOGIN PASSWORD '{password}'")
    parts = urlsplit(settings.ENVIRONMENT.database_urls["owner"])
    return change_login(urlunsplit(parts._replace(path=f"/{name}")), user=role, password=password)
