"""The shipped example as the endpoint of a journey: the script itself in a process of its own, known as `text.count`.

What it took is checked again here: each request that it kept is verified with the public `standardwebhooks` package.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from tests.journeys.product import ROOT, Product, wait_until

SCRIPT = ROOT / "deploy" / "examples" / "receiver.py"


def _load_script() -> Any:
    spec = importlib.util.spec_from_file_location("example_receiver_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_script = _load_script()


def count_text(text: str) -> Any:
    """What the example makes of a text, as JSON."""
    return json.loads(json.dumps(_script.count_text({"text": text})))


class ExampleReceiver:
    """What the running script says and keeps."""

    def __init__(self, folder: Path, secret: str) -> None:
        self.said = folder / "output.txt"
        self.events_path, self.requests_path = folder / "events.jsonl", folder / "requests.jsonl"
        for path in (self.said, self.events_path, self.requests_path):
            path.touch()
        self._webhook = Webhook(secret)
        self._read = 0
        # Requests by what they are of: the jobs that were run, and the webhook ids by job under which ends were told.
        self.runs: Counter[str] = Counter()
        self.told: dict[str, set[str]] = {}

    def verify_new_requests(self) -> None:
        """Verify what came since the last call, soon enough for its timestamp to count; fails for a wrong one."""
        with self.requests_path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # being written
                self._read += len(line)
                self._verify(json.loads(line))

    def address(self) -> str | None:
        """Where it listens, once it has said so."""
        found = re.search(r"^listening on (\S+)$", self.said.read_text(), re.MULTILINE)
        return found[1] if found else None

    def events(self) -> list[dict[str, Any]]:
        """The events that the script kept, in order; not one that is being written."""
        lines = self.events_path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def refusals(self) -> list[str]:
        """What the script refused, as it said so."""
        return [line for line in self.said.read_text().splitlines() if line.startswith("refused")]

    def _verify(self, request: dict[str, Any]) -> None:
        headers = request["headers"]
        event = self._webhook.verify(request["body"].encode(), headers)
        if event["type"] == "job.run":
            assert headers["webhook-id"] == headers["idempotency-key"] == event["data"]["job"]["id"]
            self.runs[headers["webhook-id"]] += 1
        else:
            self.told.setdefault(event["data"]["job"]["id"], set()).add(headers["webhook-id"])


@contextmanager
def running_example(product: Product, folder: Path) -> Iterator[ExampleReceiver]:
    """The script with the demo tenant's signing secret, known to the product as the job type `text.count`."""
    status, answer = product.call("GET", "/v1/signing-secrets/default")
    assert status == 200, answer
    receiver = ExampleReceiver(folder, answer["secret"])
    options = ["--log", str(receiver.events_path), "--requests", str(receiver.requests_path)]
    with receiver.said.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "--secret", answer["secret"], "--port", "0", *options],
            stdout=said,
            stderr=said,
        )
        try:
            address = wait_until(receiver.address, seconds=30, what="the example listens")
            spec = {
                "executor": "http",
                "http": {"url": f"{address}/work"},
                "defaults": {"retry": {"initial_seconds": 1}},
            }
            status, answer = product.call("PUT", "/v1/job-types/text.count", spec)
            assert status in (200, 201), answer
            yield receiver
        finally:
            process.kill()
            process.wait()
