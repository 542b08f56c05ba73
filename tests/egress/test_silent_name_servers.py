"""Names whose servers never answer hold up their own requests and nobody else's."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from tests.egress.name_server import NameServer, name_server
from tests.egress.servers import LOCAL, PATIENCE_SECONDS, fixed, peer
from tests.egress.test_client import OK, request_to
from tests.stopwatch import Stopwatch

pytestmark = pytest.mark.deep

SILENT_NAMES = 300


def test_hundreds_of_names_that_get_no_answer_hold_up_no_other_name() -> None:
    async def scenario(server: NameServer) -> float:
        async with peer(fixed(OK)) as listener, EgressClient(LOCAL) as client:
            silent = [
                asyncio.create_task(fail(client, f"http://host{number}.silent.test/", timeout_seconds=PATIENCE_SECONDS))
                for number in range(SILENT_NAMES)
            ]
            await until_looked_up(server, SILENT_NAMES)
            with Stopwatch() as watch:
                answer = await client.send(request_to(listener, url=listener.url(host="healthy.test")))
            assert answer.status == 200
            assert not any(task.done() for task in silent)
            assert {await task for task in silent} == {"dns"}
            return watch.moving_seconds

    with name_server({"healthy.test": [["127.0.0.1"]]}, silent=".silent.test", patience_seconds=8) as server:
        # The silent ones are given up after 8 s, 64 at a time would keep a healthy one waiting for forty.
        assert asyncio.run(scenario(server)) < 1.0


def test_a_lookup_that_was_given_up_leaves_room_and_does_not_keep_the_client_from_closing() -> None:
    async def scenario() -> float:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(EgressClient(LOCAL))
            assert await fail(client, "http://host.silent.test/", timeout_seconds=0.2) == "timeout"
            with Stopwatch() as watch:
                await stack.aclose()
        return watch.moving_seconds

    with name_server({}, silent=".silent.test"):
        assert asyncio.run(scenario()) < 0.5


async def until_looked_up(server: NameServer, names: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(server.looked_up) < names:
            await asyncio.sleep(0.01)


async def fail(client: EgressClient, url: str, *, timeout_seconds: float) -> str:
    with pytest.raises(EgressFailed) as caught:
        await client.send(EgressRequest("POST", url, timeout_seconds=timeout_seconds))
    return caught.value.error_class
