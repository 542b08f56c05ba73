"""Fills the tenant demo once, by the API and with its key as anybody would: nothing is written past the front door.

Each step can be sent again: settings are put, and what is made has an idempotency key. So a fill that was killed goes
on at the next start and makes nothing twice, as long as those keys are kept; after that it is let be.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobservice.env import Environment
from workers.supervisor.demo_jobs import HANDLER, QUEUES, TYPES, demo_jobs, is_taken_back
from workers.supervisor.first_tenant import mark_path, read_first_key
from workers.supervisor.readiness import describe_site

# Of the day for which the API keeps idempotency keys.
RESUMED_SECONDS = 20 * 3600
TRIES = 30
# Of an earlier fill, which another port, another version or other settings would have had otherwise: it stays as it is.
MADE_BEFORE = "idempotency-key-reused"
REST_SECONDS = 60.0
_TIMEOUT_SECONDS = 30.0
_PAUSE_SECONDS = 1.0


class DemoFillError(Exception):
    """The API refused a step, or was away for too long. The text is a sentence."""


def is_fill_wanted(environment: Environment) -> bool:
    """Whether a fill is to be begun or gone on with; one that is too old to go on safely is forgotten."""
    path = mark_path(environment)
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    if age > RESUMED_SECONDS or not environment.demo:
        path.unlink(missing_ok=True)
        return False
    return True


def fill_demo(environment: Environment, *, inbox_url: str) -> None:
    """Make queues, types, an endpoint to the inbox (unless its address is empty) and jobs. Raises `DemoFillError`."""
    site = describe_site(environment.host, environment.port, environment.allowed_hosts)
    door = _Door(site.address.removeprefix("http://"), read_first_key(environment), name=f"{site.name}:{site.port}")
    for queue, settings in QUEUES.items():
        door.send("PUT", f"/v1/queues/{queue}", settings)
    for name, defaults in TYPES.items():
        wanted = {"executor": "handler", "handler": HANDLER, "defaults": defaults}
        door.send("PUT", f"/v1/job-types/{name}", wanted)
    if inbox_url:
        door.send("POST", "/v1/webhook-endpoints", {"url": inbox_url, "signing": {"own": True}}, once="demo-endpoint")
    # It takes a process of the handlers: the only one would be missed.
    jobs = list(demo_jobs(long_seconds=900 if environment.handler_processes > 1 else 60))
    made = door.send("POST", "/v1/jobs/bulk", {"mode": "atomic", "jobs": jobs}, once="demo-jobs")
    for job in (entry["job"] for entry in made.get("data", [])):
        if is_taken_back(job):
            # 409: a fill that was killed had cancelled it before.
            door.send("POST", f"/v1/jobs/{job['id']}/cancel", {}, admits=(409,))
    mark_path(environment).unlink(missing_ok=True)
    _await_rest(door)


def _await_rest(door: _Door) -> None:
    """Until nothing moves any more but what runs for long, so that what is said then is not lost among other lines."""
    before, until = None, time.monotonic() + REST_SECONDS
    while time.monotonic() < until:
        try:
            now = [queue["counts"] for queue in door.send("GET", "/v1/queues?limit=20", None)["data"]]
        except DemoFillError:  # it is filled all the same
            return
        if now == before:
            return
        before = now
        time.sleep(2 * _PAUSE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Door:
    """The API of this very start, under one key. `name` is a host that it answers to."""

    address: str
    key: str = field(repr=False)
    name: str = ""

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, once: str = "", admits: tuple[int, ...] = ()
    ) -> dict[str, Any]:
        """The answer. `once` makes nothing twice under the same name. Waits while the service is away or busy."""
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Host": self.name,
            **({"Idempotency-Key": once} if once else {}),
        }
        for _ in range(TRIES):
            status, answer = self._try(method, path, None if body is None else json.dumps(body), headers)
            if status < 300 or status in admits or answer.get("code") == MADE_BEFORE:
                return answer
            if status not in (409, 429) and status < 500:
                break
            time.sleep(_PAUSE_SECONDS)
        raise DemoFillError(f"{method} {path} was answered {status}: {answer.get('detail', 'nothing')}")

    def _try(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(self.address, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            found = json.loads(answer.read() or b"{}")
            return answer.status, found if isinstance(found, dict) else {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            return 503, {"detail": f"nothing ({type(error).__name__})"}
        finally:
            connection.close()
