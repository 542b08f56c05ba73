"""The floor of a delivery: aiohttp in a loop signs bodies and posts them on kept connections, and records nothing.

As a program it asks the receiver for the bodies that it got, posts them all again, and prints how many per second.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import aiohttp
from standardwebhooks import Webhook

# As many in flight as one egress process has.
IN_FLIGHT = 200


async def post_all(port: int, secret: str) -> float:
    """Per second. Raises `RuntimeError` when one is not taken."""
    webhook = Webhook(secret)
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector) as session:
        async with session.post("/control/bodies") as answer:
            bodies = await answer.json()
        numbers = count()
        begun = time.monotonic()
        await asyncio.gather(*(_drive(session, webhook, bodies, numbers) for _ in range(IN_FLIGHT)))
        return len(bodies) / (time.monotonic() - begun)


async def _drive(session: aiohttp.ClientSession, webhook: Webhook, bodies: list[str], numbers: Iterator[int]) -> None:
    while (number := next(numbers)) < len(bodies):
        now = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": f"bare_{number}",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": webhook.sign(f"bare_{number}", now, bodies[number]),
        }
        async with session.post("/callback", data=bodies[number].encode(), headers=headers) as answer:
            await answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"the receiver answered {answer.status}")


def main() -> None:
    order = json.load(sys.stdin)
    json.dump({"per_second": asyncio.run(post_all(order["port"], order["secret"]))}, sys.stdout)


if __name__ == "__main__":
    main()
