"""The tenant's endpoint, in a process of its own on aiohttp: keeps what arrives, and verifies it when asked.

Verifying later keeps its cost out of the measurement. `/run` does an http job (the result is the payload), `/callback`
takes a callback; `/control/…` is the measurement's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.benchmarks.payloads import number_of

_SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as it came. `at` is in monotonic seconds."""

    at: float
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Endpoint:
    """Everything that arrived since the last reset."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._arrivals: list[Arrival] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        at = time.monotonic()
        body = await request.read()
        if request.path.startswith("/control/"):
            return self._control(request.path.removeprefix("/control/"))
        self._arrivals.append(Arrival(at, {name: request.headers.get(name, "") for name in _SIGNED}, body))
        if request.path == "/run":
            return _json(json.loads(body)["data"]["payload"])
        return web.Response(status=204)

    def _control(self, order: str) -> web.Response:
        if order == "reset":
            self._arrivals = []
        elif order == "report":
            return _json([self._verify(arrival) for arrival in self._arrivals])
        elif order == "bodies":
            return _json([arrival.body.decode() for arrival in self._arrivals])
        return _json({"count": len(self._arrivals), "at": time.monotonic()})

    def _verify(self, arrival: Arrival) -> dict[str, Any]:
        """Whose request it was, and the number of the payload or result in it; a fault instead of a bad signature."""
        message_id = arrival.headers["webhook-id"]
        try:
            event = self._webhook.verify(arrival.body, arrival.headers)
        except WebhookVerificationError as error:
            return {"fault": f"{message_id}: {error}", "at": arrival.at}
        data = event["data"]
        number = number_of(data["payload"] if event["type"] == "job.run" else data["result"])
        return {"job": data["job"]["id"], "webhook_id": message_id, "number": number, "at": arrival.at}


def _json(content: Any) -> web.Response:
    return web.Response(body=json.dumps(content).encode(), content_type="application/json")


async def _serve(secret: str) -> None:
    runner = web.ServerRunner(web.Server(Endpoint(secret).answer, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    port = runner.addresses[0][1]
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(os.environ["BENCH_SECRET"]))
