"""Names that move or lead to several places, looked up by the system's resolver at a name server of ours."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiohttp.abc import ResolveResult

from jobservice.egress import guard
from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from jobservice.egress.guard import Guard
from jobservice.egress.policy import EgressPolicy
from tests.egress.name_server import A, Zone, name_server
from tests.egress.servers import LOCAL, Peer, peer
from tests.egress.test_guard import BAD, GOOD, OK, ONLY_GOOD, outcome
from tests.stopwatch import Stopwatch

pytestmark = pytest.mark.deep

HOST = "moves.test"


def call(zone: Zone, *, times: int = 1, policy: EgressPolicy = ONLY_GOOD) -> tuple[list[str], Peer, list[str], int]:
    """The outcomes of calls by one client, the peer, the addresses that were dialled, and how often A was asked for."""

    async def scenario() -> tuple[list[str], Peer, list[str], int]:
        async with peer(OK, host="0.0.0.0") as listener, EgressClient(policy) as client:  # noqa: S104
            outcomes = [await outcome(client, listener.url(host=HOST)) for _ in range(times)]
            questions = sum(kind == A for _, kind in server.asked)
            return outcomes, listener, await listener.dialled(), questions

    with name_server(zone) as server:
        return asyncio.run(scenario())


def test_a_name_with_a_good_address_is_called_there() -> None:
    outcomes, _, dialled, _ = call({HOST: [[GOOD]]})
    assert (outcomes, dialled) == (["200"], [GOOD])


def test_an_address_is_dialled_as_it_was_judged_with_no_second_lookup() -> None:
    outcomes, _, dialled, questions = call({HOST: [[GOOD], [BAD]]})
    assert (outcomes, dialled, questions) == (["200"], [GOOD], 1)


def test_a_name_that_moved_is_judged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_LOOKUP_CACHE_SECONDS", 0)
    outcomes, listener, dialled, questions = call({HOST: [[GOOD], [BAD], [GOOD]]}, times=3)
    assert (outcomes, questions) == (["200", "dns", "200"], 3)
    assert dialled == [GOOD, GOOD]
    assert len(listener.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        [BAD],
        [GOOD, BAD],
        [BAD, GOOD],
        [GOOD] * 9 + [BAD],
        [GOOD, "::1"],
        [GOOD, "::"],
        [GOOD, "fd00::1"],
        [GOOD, "fe80::1"],
        [GOOD, "::ffff:127.0.0.1"],
        [GOOD, f"::ffff:{GOOD}"],
        [GOOD, "64:ff9b::a9fe:a9fe"],
        [GOOD, "2002:7f00:1::"],
        [GOOD, "169.254.169.254"],
        [GOOD, "0.0.0.0"],  # noqa: S104
    ],
)
def test_one_bad_address_of_either_family_refuses_the_name(answer: list[str]) -> None:
    outcomes, listener, dialled, _ = call({HOST: [answer]})
    assert (outcomes, dialled, listener.requests) == (["dns"], [], [])


@pytest.mark.parametrize(
    ("end", "expected"), [([GOOD], "200"), ([BAD], "dns"), ([GOOD, "::1"], "dns"), (None, "dns"), ([], "dns")]
)
def test_a_chain_of_aliases_is_judged_by_its_end(end: list[str] | None, expected: str) -> None:
    zone: Zone = {HOST: [["→one.test"]], "one.test": [["→two.test"]], "two.test": [["→cache.internal"]]}
    outcomes, _, dialled, _ = call({**zone, "cache.internal": [end]})
    assert (outcomes, dialled) == ([expected], [GOOD] if expected == "200" else [])


def test_an_alias_of_our_own_name_does_not_lead_into_our_api() -> None:
    async def scenario() -> None:
        async with peer(OK, host="0.0.0.0") as service:  # noqa: S104
            policy = replace(LOCAL, own=(("127.0.0.1", service.port),))
            async with EgressClient(policy) as client:
                assert await outcome(client, service.url(host=HOST)) == "dns"
                assert await outcome(client, service.url(host="jobs.test")) == "dns"
            assert await service.dialled() == []

    with name_server({HOST: [["→jobs.test"]], "jobs.test": [["127.0.0.1"]]}):
        asyncio.run(scenario())


def test_the_dialled_address_is_judged_even_when_the_answer_was_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    def pass_everything(self: Guard, host: str, answer: list[ResolveResult]) -> None:
        pass

    monkeypatch.setattr(Guard, "check_answer", pass_everything)
    for answer in ([BAD], [BAD, GOOD], [GOOD, BAD], ["::1", BAD]):
        outcomes, listener, dialled, _ = call({HOST: [answer]})
        assert set(dialled) <= {GOOD}
        # A good address may win the race before the bad one is tried; what is never there is a request elsewhere.
        assert outcomes == ["dns"] if answer[0] != GOOD else outcomes[0] in ("200", "dns")
        assert len(listener.requests) == outcomes.count("200")


def test_a_name_server_that_does_not_answer_costs_no_more_than_the_total_time() -> None:
    async def scenario() -> tuple[str, Stopwatch]:
        with Stopwatch() as watch:
            async with EgressClient(ONLY_GOOD) as client:
                with pytest.raises(EgressFailed) as caught:
                    await client.send(EgressRequest("GET", f"http://{HOST}/", timeout_seconds=0.6))
        return caught.value.error_class, watch

    with name_server({HOST: [[GOOD]]}, delay_seconds=1.5):
        loop = asyncio.new_event_loop()
        try:
            error_class, watch = loop.run_until_complete(scenario())
        finally:
            loop.close()
    assert error_class == "timeout"
    assert watch.seconds > 0.1
    assert watch.moving_seconds < 1.1
