"""A small HTTP server for `/metrics` in a dispatcher or worker whose machine has no web process.

Every process of the machine may open the same port: the kernel gives each scrape to one of them, and each shows the
whole folder.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from jobservice.env import Environment
from jobservice.logs import log_event
from jobservice.meters import keep_metrics_in, show_metrics
from jobservice.metrics_access import is_local, is_local_name, is_token

PATH = "/metrics"
_TIMEOUT_SECONDS = 5.0


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_port = True

    def server_bind(self) -> None:
        # Not the base class's, which asks the DNS for the name of this machine.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "", self.socket.getsockname()[1]
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = _TIMEOUT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """A scrape says nothing new."""


def share_metrics(environment: Environment) -> None:
    """Count into the machine's folder, and serve it when a port is set. Call once, before the process forks."""
    keep_metrics_in(environment.metrics_dir)
    if environment.metrics_port is not None:
        try:
            serve_metrics(environment.metrics_host, environment.metrics_port, token=environment.metrics_token)
        except OSError as error:
            log_event("metrics_port_unusable", level="warning", error_class=type(error).__name__)


def serve_metrics(host: str, port: int, *, token: str) -> _Server:
    """Listen, on a thread of its own. Raises `OSError` when the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server_class = type("_FamilyServer", (_Server,), {"address_family": family})
    server: _Server = server_class((host, port), _Handler)
    server.set_app(_application(token))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    # A child must not keep the port open when its parent is gone.
    os.register_at_fork(after_in_child=server.socket.close)
    return server


def _application(token: str) -> Callable[..., Iterable[bytes]]:
    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, body = _answer(environ, token)
        kind = CONTENT_TYPE_PLAIN_0_0_4 if status.startswith("200") else "text/plain; charset=utf-8"
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    return answer


def _answer(environ: dict[str, Any], token: str) -> tuple[str, bytes]:
    if environ["PATH_INFO"] != PATH:
        return "404 Not Found", b"There is nothing at this address.\n"
    if environ["REQUEST_METHOD"] != "GET":
        return "405 Method Not Allowed", b"Metrics can be read with GET only.\n"
    names = (name.removeprefix("HTTP_").replace("_", "-") for name in environ if name.startswith("HTTP_"))
    is_here = is_local(environ["REMOTE_ADDR"], names) and is_local_name(environ.get("HTTP_HOST", ""))
    if is_here or is_token(environ.get("HTTP_AUTHORIZATION", ""), token=token):
        return "200 OK", show_metrics()
    return "403 Forbidden", b"Metrics are for this machine itself, or for the operator's metrics token.\n"
