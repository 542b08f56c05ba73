"""What clients see of a real web process when HTTP is broken, slow or endless, and what others see meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.api.keys import problem
from tests.factories import Tenant, make_job
from tests.security.web_server import PATIENCE_SECONDS, Answer, WebServer, read_answer, running_web
from tests.stopwatch import Stopwatch

HOST = b"Host: 127.0.0.1\r\n"
# Seconds within which others are answered, with room for a machine that is busy with other things.
PROMPT = 1.0
# The most bytes of a submission: a payload of 1 MiB and 64 KiB around it.
MOST = 1024**2 + 64 * 1024


def post(tenant: Tenant, *headers: bytes) -> bytes:
    """The head of a submission."""
    authorization = f"Authorization: Bearer {tenant.api_key}\r\nContent-Type: application/json\r\n".encode()
    return b"POST /v1/jobs HTTP/1.1\r\n" + HOST + authorization + b"".join(h + b"\r\n" for h in headers) + b"\r\n"


def refused(answer: Answer | None, status: int, code: str) -> None:
    assert answer is not None
    problem(answer, status, code)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"canary" not in answer.body


BROKEN = {
    "no request line": (b"canary\r\n\r\n", 400, "bad-request"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\r\n", 400, "bad-request"),
    "http/0.9": (b"GET /v1/jobs\r\n\r\n", 400, "bad-request"),
    "http/9.9": (b"GET /v1/jobs HTTP/9.9\r\n" + HOST + b"\r\n", 400, "bad-request"),
    "small letters": (b"get /v1/jobs HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad-request"),
    "bare line feed": (b"GET /v1/jobs HTTP/1.1\n" + HOST + b"\n", 400, "bad-request"),
    "a space in the address": (b"GET /v1/jobs?a= b HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad-request"),
    "raw bytes in the address": (b"GET /v1/\xff\x00 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad-request"),
    "no host": (b"GET /v1/jobs HTTP/1.1\r\n\r\n", 400, "bad-request"),
    "two hosts": (b"GET /v1/jobs HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400, "bad-request"),
    "another's host": (b"GET /v1/jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400, "bad-request"),
    "a space in a header's name": (b"GET / HTTP/1.1\r\n" + HOST + b"X canary: 1\r\n\r\n", 400, "bad-request"),
    "an underscore in a header's name": (b"GET / HTTP/1.1\r\n" + HOST + b"X_canary: 1\r\n\r\n", 400, "bad-request"),
    "a header without a colon": (b"GET / HTTP/1.1\r\n" + HOST + b"canary\r\n\r\n", 400, "bad-request"),
    "a NUL in a header": (b"GET / HTTP/1.1\r\n" + HOST + b"Authorization: canary\x00\r\n\r\n", 400, "bad-request"),
    "a folded header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: 1\r\n canary\r\n\r\n", 400, "bad-request"),
    "another expectation": (b"GET / HTTP/1.1\r\n" + HOST + b"Expect: canary\r\n\r\n", 400, "bad-request"),
    "a length that is no number": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n", 400, "bad-request"),
    "a negative length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400, "bad-request"),
    "a length with a sign": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\n", 400, "bad-request"),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n" * 2 + b"\r\n", 400, "bad-request"),
    "a length and chunks": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad-request",
    ),
    "an unknown coding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: canary\r\n\r\n", 400, "bad-request"),
    "chunks in http/1.0": (b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", 400, "bad-request"),
    "a long address": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "uri-too-long"),
    "a long header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 9000 + b"\r\n\r\n", 431, "headers-too-large"),
    "many headers": (b"GET / HTTP/1.1\r\n" + HOST + b"X: 1\r\n" * 61 + b"\r\n", 431, "headers-too-large"),
    "headers without an end": (b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 600_000, 431, "headers-too-large"),
    "an unknown method": (b"BREW /v1/jobs HTTP/1.1\r\n" + HOST + b"\r\n", 405, "method-not-allowed"),
    "connect": (b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", 404, "not-found"),
    "options of all": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404, "not-found"),
    "the whole address": (b"GET http://127.0.0.1/v1/jobs HTTP/1.1\r\n" + HOST + b"\r\n", 401, "unauthenticated"),
    "another's whole address": (b"GET http://evil.example/nothing HTTP/1.1\r\n" + HOST + b"\r\n", 404, "not-found"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_http_is_a_problem_document(web: WebServer, name: str) -> None:
    sent, status, code = BROKEN[name]
    refused(web.send(sent), status, code)
    assert "canary" not in web.log
    assert web.healthz_seconds() < PROMPT


CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n{}\r\n",
        b"-2\r\n{}\r\n",
        b"2\r\n{}",
        b"2\r\n{}xx",
        b"2\r\n{}\r\n",
        b"2;\x00=1\r\n{}\r\n0\r\n\r\n",
        b"8\r\n{}",
    ],
)
def test_a_broken_chunk_is_a_broken_request(web: WebServer, web_tenant: Tenant, body: bytes) -> None:
    refused(web.send(post(web_tenant, CHUNKED), body, is_ended=True), 400, "bad-request")


def test_a_body_that_ends_early_is_a_broken_request(web: WebServer, web_tenant: Tenant) -> None:
    refused(web.send(post(web_tenant, b"Content-Length: 20"), b'{"type":', is_ended=True), 400, "bad-request")


def test_whole_chunks_are_taken(web: WebServer, web_tenant: Tenant) -> None:
    answer = web.send(post(web_tenant, CHUNKED, b"Connection: close"), b'7\r\n{"type"\r\n8\r\n:"echo"}\r\n0\r\n\r\n')
    assert answer is not None
    assert answer.status == 201


@pytest.mark.parametrize("length", [b"2000000", b"99999999999999999999", b"9" * 4000])
def test_a_body_that_says_it_is_too_large_is_refused_unread(web: WebServer, web_tenant: Tenant, length: bytes) -> None:
    refused(web.send(post(web_tenant, b"Content-Length: " + length)), 413, "payload-too-large")


def test_chunks_without_an_end_are_read_no_further_than_the_limit(web: WebServer, web_tenant: Tenant) -> None:
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    # What the first body of that size costs once (code, allocator) is not what is asked here.
    at_the_limit = chunk * (MOST // 0x2000) + b"0\r\n\r\n"
    refused(web.send(post(web_tenant, CHUNKED), at_the_limit), 400, "malformed-json")
    before = peak_bytes(web)
    with closing(web.connect()) as client:
        client.sendall(post(web_tenant, CHUNKED))
        try:
            for _ in range(3000):
                client.sendall(chunk)
        except OSError:
            pass
        answer = read_answer(client)
    if answer is not None:  # a client that goes on sending may find its connection reset instead
        refused(answer, 413, "payload-too-large")
    assert peak_bytes(web) - before < 3 * MOST
    assert web.healthz_seconds() < PROMPT


def test_no_body_is_no_json(web: WebServer, web_tenant: Tenant) -> None:
    refused(web.send(post(web_tenant, b"Content-Length: 0")), 400, "malformed-json")
    refused(web.send(post(web_tenant, CHUNKED), b"0\r\n\r\n"), 400, "malformed-json")


def test_a_request_behind_a_refused_body_is_not_smuggled(web: WebServer, web_tenant: Tenant) -> None:
    inner = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    head = post(web_tenant, b"Content-Length: %d" % len(inner)).replace(b"/v1/jobs", b"/nothing")
    with closing(web.connect()) as client:
        client.sendall(head + inner)
        refused(read_answer(client), 404, "not-found")
        assert client.recv(1) == b""  # closed after a while, and no second answer


def drip(client: socket.socket, over: threading.Event, byte: bytes = b"a") -> None:
    """A byte now and then, until it is over or the server hangs up."""
    try:
        while not over.wait(0.1):
            client.sendall(byte)
    except OSError:
        return


@pytest.mark.parametrize("part", ["request line", "headers", "body", "chunks", "pause"])
def test_a_slow_client_is_told_and_let_go(web: WebServer, web_tenant: Tenant, part: str) -> None:
    over = threading.Event()
    start = {
        "request line": b"GET /",
        "headers": b"GET / HTTP/1.1\r\nX: ",
        "body": post(web_tenant, b"Content-Length: 100000") + b'{"type": "',
        "chunks": post(web_tenant, CHUNKED) + b"ffff\r\n",
        "pause": post(web_tenant, b"Content-Length: 100000") + b"{",
    }[part]
    with Stopwatch() as watch, closing(web.connect()) as client:
        client.sendall(start)
        if part != "pause":
            threading.Thread(target=drip, args=(client, over), daemon=True).start()
        answer = read_answer(client)
        over.set()
    refused(answer, 408, "request-timeout")
    assert watch.seconds > 1.0
    assert watch.moving_seconds < 10


def test_a_connection_without_a_request_is_closed(web: WebServer) -> None:
    with closing(web.connect()) as client:
        assert client.recv(1) == b""


def test_silent_connections_take_nothing_from_others(web: WebServer) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(closing(web.connect()))
        assert max(web.healthz_seconds() for _ in range(5)) < PROMPT


def test_clients_that_do_not_hang_up_take_nothing_from_others(web: WebServer) -> None:
    with ExitStack() as stack:
        for request in (b"canary\r\n\r\n", b"GET /nothing HTTP/1.0\r\n" + HOST + b"\r\n") * 10:
            client = stack.enter_context(closing(web.connect()))
            client.sendall(request)
            assert read_answer(client) is not None
        assert max(web.healthz_seconds() for _ in range(5)) < PROMPT


def test_clients_that_do_not_read_are_let_go(web: WebServer, web_tenant: Tenant) -> None:
    job = make_job(web_tenant, payload="x" * 1_000_000)
    request = f"GET /v1/jobs/{job['id']}?include=payload HTTP/1.1\r\nAuthorization: Bearer {web_tenant.api_key}\r\n"
    with ExitStack() as stack:
        for _ in range(4):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", web.port))
            stack.enter_context(closing(client))
            for _ in range(8):
                client.sendall(request.encode() + HOST + b"\r\n")
        time.sleep(0.5)
        assert web.healthz_seconds() < 15  # all four threads were held, each for its time to write


def peak_bytes(web: WebServer) -> int:
    """The most memory that the worker has had since the last call, which starts anew."""
    folder = Path(f"/proc/{web.worker_pid}")
    (line,) = [line for line in (folder / "status").read_text().splitlines() if line.startswith("VmHWM")]
    (folder / "clear_refs").write_text("5")
    return int(line.split()[1]) * 1024


def test_a_stop_answers_those_who_wait_and_ends_in_time(committing: None, web_tenant: Tenant, tmp_path: Path) -> None:
    job = make_job(web_tenant, delay_seconds=3600)
    request = (
        f"GET /v1/jobs/{job['id']} HTTP/1.1\r\nHost: 127.0.0.1\r\nPrefer: wait=60\r\n"
        f"Authorization: Bearer {web_tenant.api_key}\r\n\r\n"
    )
    with running_web(tmp_path) as server, ExitStack() as stack:
        waiting = [stack.enter_context(closing(server.connect())) for _ in range(2)]
        for client in waiting:
            client.sendall(request.encode())
        time.sleep(0.5)  # so that these two are the ones that may wait
        await_refused_wait(server, request.replace("wait=60", "wait=1"))
        with Stopwatch() as watch:
            server.stop()
            for client in waiting:
                answer = read_answer(client)
                assert answer is not None
                assert (answer.status, answer.json()["state"]) == (200, "scheduled")
            assert server.master.wait(timeout=PATIENCE_SECONDS) == 0
        assert watch.moving_seconds < 20


def await_refused_wait(server: WebServer, request: str) -> None:
    """Until one more may not wait: half of the four threads wait already."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with closing(server.connect()) as client:
            client.sendall(request.encode())
            answer = read_answer(client)
        assert answer is not None
        if "Preference-Applied" not in answer.headers:
            return
    raise AssertionError("more than half of the threads wait")
