"""What a tenant may learn from a failure: never which names, addresses or machines are inside."""

from __future__ import annotations

import asyncio
import time
from typing import get_args

import pytest

from jobservice.egress import client as client_module
from jobservice.egress.client import LOOKUP_STEP_SECONDS, EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed, ErrorClass
from jobservice.egress.policy import EgressPolicy, check_url
from jobservice.errors import EgressRefused
from jobservice.metrics import EGRESS_FAILURES
from tests.egress.name_server import Zone, name_server
from tests.egress.servers import PATIENCE_SECONDS, fixed, peer
from tests.egress.test_guard import BAD, GOOD, ONLY_GOOD
from workers.executors.verdicts import judge_failure

pytestmark = pytest.mark.deep

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104

INSIDE: Zone = {
    "private.test": [["10.0.0.5"]],
    "this-machine.test": [["127.0.0.1"]],
    "metadata.test": [["169.254.169.254"]],
    "six.test": [["fd00::5"]],
    "wrapped.test": [["64:ff9b::a00:5"]],
    "mixed.test": [["93.184.216.34", "10.0.0.5"]],
    "alias.test": [["→db.corp.test"]],
    "db.corp.test": [["10.0.0.6"]],
}
NOWHERE: Zone = {"nothing.test": [None], "empty.test": [[]], "dangling.test": [["→nothing.test"]]}


def fail(
    host: str, policy: EgressPolicy, *, timeout_seconds: float = PATIENCE_SECONDS, port: int = 443
) -> tuple[EgressFailed, float]:
    async def scenario() -> tuple[EgressFailed, float]:
        started = time.monotonic()
        async with EgressClient(policy) as client:
            request = EgressRequest("POST", f"https://{host}:{port}/", timeout_seconds=timeout_seconds)
            with pytest.raises(EgressFailed) as caught:
                await client.send(request)
            return caught.value, time.monotonic() - started

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("policy", "port"),
    [
        (EgressPolicy(), 443),
        # This service answers at every address of its machine: one more rule that an inside address may break.
        (EgressPolicy(own=((EVERY_ADDRESS, 443),)), 443),
        (EgressPolicy(own=((EVERY_ADDRESS, 8000),), ports=(8000,)), 8000),
    ],
)
def test_a_name_that_leads_inside_fails_as_one_that_leads_nowhere(policy: EgressPolicy, port: int) -> None:
    seen = set()
    with name_server(INSIDE | NOWHERE):
        for host in (*INSIDE, *NOWHERE):
            failure, seconds = fail(host, policy, port=port)
            verdict = judge_failure(failure)
            shown = (verdict.kind, verdict.error_code, verdict.error_message, verdict.is_permanent)
            seen.add((failure.error_class, str(failure), *shown))
            # Neither fails sooner than the other: both take the whole first step.
            assert seconds >= LOOKUP_STEP_SECONDS, host
    sentence = "The host name leads to no address that the service dials."
    assert seen == {("dns", sentence, "failed", "dns", sentence, False)}


def test_how_long_the_name_server_thought_shows_in_whole_steps_only() -> None:
    # One answer for each family, one after the other: more than a step, less than two.
    with name_server(INSIDE, delay_seconds=LOOKUP_STEP_SECONDS * 0.6):
        _, seconds = fail("private.test", EgressPolicy())
    assert seconds >= LOOKUP_STEP_SECONDS * 2


def test_the_step_ends_no_later_than_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LOOKUP_STEP_SECONDS", PATIENCE_SECONDS)
    with name_server(NOWHERE):
        _, seconds = fail("nothing.test", EgressPolicy(), timeout_seconds=0.05)
    assert seconds < PATIENCE_SECONDS


def test_a_closed_port_shows_only_where_the_operator_lets_tenants_dial() -> None:
    """The stranger's scan: an open, a closed and a filtered port inside are the same, a closed one outside is not."""

    async def scenario() -> None:
        async with peer(fixed(b""), host=BAD) as opened:
            pass
        async with peer(fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), host=BAD) as inside:
            outcomes = {}
            async with EgressClient(ONLY_GOOD) as client:
                for host, port in (("bad.test", inside.port), ("bad.test", opened.port), ("good.test", opened.port)):
                    with pytest.raises(EgressFailed) as caught:
                        await client.send(
                            EgressRequest("GET", f"http://{host}:{port}/", timeout_seconds=PATIENCE_SECONDS)
                        )
                    outcomes[host, port] = caught.value.error_class
            assert outcomes == {
                ("bad.test", inside.port): "dns",
                ("bad.test", opened.port): "dns",
                ("good.test", opened.port): "connect",
            }
            assert await inside.dialled() == []

    with name_server({"bad.test": [[BAD]], "good.test": [[GOOD]]}):
        asyncio.run(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.5", "[::1]", "[fd00::2]", "localhost", "a.localhost"])
def test_a_written_address_does_not_tell_whether_it_is_this_machines(host: str) -> None:
    policy = EgressPolicy(own=((EVERY_ADDRESS, 8000), ("::", 8000), ("10.0.0.5", 8000)), ports=(8000, 8001))
    details = set()
    for port in (8000, 8001):
        with pytest.raises(EgressRefused) as caught:
            check_url(f"https://{host}:{port}/", policy)
        details.add((caught.value.detail, caught.value.reason))
    assert len(details) == 1


@pytest.mark.parametrize("error_class", get_args(ErrorClass))
def test_every_class_is_a_word_and_a_sentence_without_a_detail_of_the_network(error_class: ErrorClass) -> None:
    sentence = str(EgressFailed(error_class))
    assert error_class.replace("-", "").isalpha()
    assert sentence.endswith(".")
    assert not any(character.isdigit() for character in sentence)
    assert set(get_args(ErrorClass)) == set(EGRESS_FAILURES)
    assert set(get_args(ErrorClass)) == {
        *("refused", "dns", "connect", "tls", "timeout", "disconnected", "protocol", "too-large"),
    }
