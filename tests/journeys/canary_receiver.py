"""An endpoint that answers everything with canaries: jobs it runs, jobs it ends later, calls, and callbacks."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.journeys.canaries import Canaries
from tests.journeys.posted import answering_posts

# What an endpoint is to have: its own header, and the address to which it ends a run.
TOLD = frozenset({"x-token", "job-complete-url"})


class CanaryReceiver:
    """What it saw of headers; by `way` of a payload it completes, fails, gives up, or ends the job later."""

    def __init__(self, canaries: Canaries) -> None:
        self._canaries = canaries
        self._lock = threading.Lock()
        self.url = ""
        self.headers: list[str] = []
        self.callbacks: Counter[str] = Counter()
        self.later: list[threading.Thread] = []

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        event = json.loads(body) if body.startswith(b'{"') else {}
        with self._lock:
            self.headers.append(repr([item for item in headers.items() if item[0] not in TOLD]))
            text = self._canaries.new("answers of endpoints")
        if event.get("type") == "job.run":
            return self._run(event["data"], headers, text)
        if str(event.get("type")).startswith("job."):
            return self._take(event["data"]["job"]["id"], text)
        return 200, {"X-Answer": text}, json.dumps({"answer": text}).encode()

    def _take(self, job_id: str, text: str) -> tuple[int, dict[str, str], bytes]:
        """A callback: some are refused at first."""
        with self._lock:
            self.callbacks[job_id] += 1
            is_refused = self.callbacks[job_id] == 1 and job_id[-1] in "02468"
        return (503, {"Retry-After": "1"}, text.encode()) if is_refused else (200, {}, text.encode())

    def _run(self, data: Any, headers: dict[str, str], text: str) -> tuple[int, dict[str, str], bytes]:
        match data["payload"]["way"]:
            case "fail":
                return 500, {}, text.encode()
            case "give up":
                return 422, {"Job-Retry": "false"}, json.dumps({"error": text}).encode()
            case "snooze" if data["job"]["epoch"] == 1:
                return 503, {"Job-Snooze": "1"}, text.encode()
            case "later":
                url = headers["job-complete-url"]
                self.later.append(threading.Timer(0.5, self._complete, [url, text]))
                self.later[-1].start()
                return 202, {"Job-Completion": "async"}, b""
        return 200, {}, json.dumps({"result": text}).encode()

    def _complete(self, url: str, text: str) -> None:
        self._canaries.keep("completion addresses", url.rpartition("/")[2])
        for path, body in (
            ("/progress", {"percent": 9, "message": self._canaries.new("progress")}),
            ("", {"outcome": "failed", "error": {"code": "later", "message": text}, "permanent": True}),
        ):
            request = urllib.request.Request(
                url + path, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
            )
            urllib.request.urlopen(request, timeout=30).close()


@contextmanager
def receiving_canaries(canaries: Canaries) -> Iterator[CanaryReceiver]:
    receiver = CanaryReceiver(canaries)
    with answering_posts(receiver.answer) as receiver.url:
        yield receiver
