"""An endpoint that answers with hostile texts: calls of events by their turn, and runs that it goes on with later."""

from __future__ import annotations

import itertools
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.journeys.console.hostile_texts import chunks


class HostileReceiver:
    """`url` ends with a slash. `reported` counts the runs whose progress was told."""

    def __init__(self) -> None:
        self.url = ""
        self.reported = 0
        self._turns = itertools.cycle("\n".join(chunk) for chunk in chunks())
        self._lock = threading.Lock()

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. A run is taken, and its texts are told as its progress."""
        event = json.loads(body)
        if event["type"] != "job.run":
            with self._lock:
                return 200, {"Content-Type": "text/html"}, next(self._turns).encode()
        message = "\n".join(event["data"]["payload"]["texts"])
        threading.Timer(0.3, self._report, [headers["job-complete-url"], message]).start()
        return 202, {"Job-Completion": "async"}, b""

    def _report(self, url: str, message: str) -> None:
        body = json.dumps({"percent": 50, "message": message}).encode()
        request = urllib.request.Request(f"{url}/progress", data=body, headers={"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).close()
        with self._lock:
            self.reported += 1


@contextmanager
def receiving_hostilely() -> Iterator[HostileReceiver]:
    """The receiver on a free port of this machine."""
    receiver = HostileReceiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            given = {name.lower(): value for name, value in self.headers.items()}
            status, headers, content = receiver.answer(body, given)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
