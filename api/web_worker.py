"""gunicorn's threaded worker with this service's manners.

- What is no HTTP is answered with a problem document, and nothing of it is logged: it may hold a key.
- A connection costs a thread only once it has sent something, and only until the time for its request is over.
- A connection that ends lingers (RFC 9112, 9.6) beside the others; gunicorn would hold up all of them for it.
- When the process stops, whoever waits for the end of a job is answered first.
- Beside the requests, a thread goes on with bulk actions.
The base class's attributes used here are gunicorn 27's own; `tests/security/test_broken_http.py` runs against it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import selectors
import socket
import time
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from api.draining import begin_draining
from api.patient_socket import PatientSocket
from api.problems import MEDIA_TYPE, PROBLEM_TYPES, bare_document, safe_headers
from jobservice import ids
from jobservice.cycles import look_for_cycles_seldom
from jobservice.jobs.bulk_runner import await_bulk_runner, stop_bulk_runner
from jobservice.jobs.end_watch import stop_waiting
from jobservice.logs import log_event

FIRST_BYTE_SECONDS = 5.0
HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
LINGER_SECONDS = 2.0
# A job in hand takes milliseconds; one that waits for a lock longer than this is left undone.
BULK_STOP_SECONDS = 3.0
_DRAIN_BYTES = 65_536


class HeadTooSlow(errors.ParseException):  # type: ignore[misc]  # gunicorn has no types
    """The request's head did not come in time."""


# The first that fits. The application's own faults are among gunicorn's parse errors, hence before them.
_ANSWERS: tuple[tuple[type[Exception], str, str], ...] = (
    (errors.InvalidResponseHeader, "internal", ""),
    (errors.InvalidResponseHeaderName, "internal", ""),
    (errors.ConfigurationProblem, "internal", ""),
    (HeadTooSlow, "request-timeout", "The head of the request did not arrive in time."),
    (errors.LimitRequestLine, "uri-too-long", "The request line is too long."),
    (errors.LimitRequestHeaders, "headers-too-large", "The headers are too many or too long."),
    (errors.InvalidRequestLine, "bad-request", "The request line is not one of HTTP/1.1."),
    (errors.InvalidRequestMethod, "bad-request", "The method is not one of HTTP's, which are in capital letters."),
    (errors.InvalidHTTPVersion, "bad-request", "The version of HTTP is not one that the service speaks."),
    (errors.UnsupportedTransferCoding, "bad-request", "The transfer coding must be chunked, or none."),
    (errors.ExpectationFailed, "bad-request", "The only expectation that the service knows is 100-continue."),
    (errors.ParseException, "bad-request", "The headers break HTTP's rules, or contradict one another."),
)
_INTERNAL = "The service failed to answer this request; the fault is noted under its request_id."


class WebWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._parting: deque[tuple[float, PatientSocket]] = deque()
        super().__init__(*args, **kwargs)

    @property
    def alive(self) -> bool:
        """False from the moment that the worker stops: at a signal, or after its last request."""
        return self._is_alive

    @alive.setter
    def alive(self, is_alive: bool) -> None:
        self._is_alive = is_alive
        if not is_alive:
            stop_waiting()
            stop_bulk_runner()

    def run(self) -> None:
        """Serve requests until the process stops, and then wait a moment for the thread of bulk actions."""
        look_for_cycles_seldom()
        super().run()
        if not await_bulk_runner(BULK_STOP_SECONDS):
            log_event("bulk_runner_left", level="warning")

    def handle_exit(self, sig: int, frame: Any) -> None:
        """TERM: tell the probes, and let what is under way end."""
        begin_draining()
        super().handle_exit(sig, frame)

    def enqueue_req(self, conn: TConn) -> None:
        """A new connection waits for its first byte without a thread."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.sock = PatientSocket.take(conn.sock)
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + FIRST_BYTE_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: TConn) -> Any:
        """In a thread: one request, whose head must come in time."""
        conn.sock.allow(HEAD_SECONDS, error=HeadTooSlow)
        try:
            return super().handle(conn)
        finally:
            conn.sock.allow(None)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """The head is read; the body has a time of its own."""
        if req.version >= (1, 1) and not any(name == "HOST" for name, _ in req.headers):
            raise errors.InvalidHeader("HOST", req=req)  # RFC 9112, section 3.2
        conn.sock.allow(BODY_SECONDS)
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: PatientSocket, addr: Any, exc: Exception) -> None:
        """Answer what could not be read, or failed outside the application. Of the request nothing is told."""
        code, detail = judge_error(exc)
        request_id = ids.new_id().hex
        status, level = PROBLEM_TYPES[code].status, "error" if code == "internal" else "warning"
        log_event("request_broken", level=level, status=status, request_id=request_id, error_class=type(exc).__name__)
        with contextlib.suppress(OSError):
            util.write_nonblock(client, render_problem(code, detail, request_id=request_id))

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """In the main loop: a connection that is kept goes on; one that ends must not hold up the loop."""
        if fs.cancelled() or fs.exception() is not None or fs.result():
            super().finish_request(conn, fs)
        else:
            self._part_from(conn.sock)

    def murder_pending(self) -> None:
        """Called in every turn of the main loop: close what has been silent, or has lingered, for too long."""
        super().murder_pending()
        while self._parting and self._parting[0][0] <= time.monotonic():
            self._close(self._parting.popleft()[1])

    def _part_from(self, sock: PatientSocket) -> None:
        try:
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
            self.poller.register(sock, selectors.EVENT_READ, self._drain)
        except (OSError, ValueError):
            self._close(sock)
            return
        self._parting.append((time.monotonic() + LINGER_SECONDS, sock))

    def _drain(self, sock: PatientSocket) -> None:
        """Read what the client still sent, so that closing does not take our answer from it; until it closes too."""
        try:
            if sock.recv(_DRAIN_BYTES):
                return
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                return
        self._parting = deque(entry for entry in self._parting if entry[1] is not sock)
        self._close(sock)

    def _close(self, sock: PatientSocket) -> None:
        self.nr_conns -= 1
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(sock)
        util.close(sock)


def judge_error(error: Exception) -> tuple[str, str]:
    """Which problem it is, and a sentence that repeats nothing of the request."""
    for kind, code, detail in _ANSWERS:
        if isinstance(error, kind):
            return code, detail or _INTERNAL
    return "internal", _INTERNAL


def render_problem(code: str, detail: str, *, request_id: str) -> bytes:
    """The whole answer, for a connection that ends with it."""
    kind = PROBLEM_TYPES[code]
    body = json.dumps(bare_document(code, detail, request_id=request_id)).encode()
    headers = {
        "Connection": "close",
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "X-Request-Id": request_id,
        **safe_headers(),
    }
    status_line = f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}\r\n"
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{status_line}{fields}\r\n".encode() + body
