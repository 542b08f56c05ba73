"""The one exception to "never this service itself": exactly the inbox of `make run`, and nothing beside it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from jobservice.egress.policy import EgressPolicy, build_policy, check_url
from jobservice.errors import EgressRefused
from tests.egress.servers import LOCAL, FakeResolver, fixed, peer
from tests.egress.test_policy import environment

PATH = f"/dev/inbox/tnt_01h455vb4pex5vsknk084sn02q/{'0a' * 16}"
ORIGIN = "http://127.0.0.1:8000"
POLICY = EgressPolicy(allow=LOCAL.allow, own=(("127.0.0.1", 8000),), inbox=ORIGIN)
OK = fixed(b"HTTP/1.1 204 No Content\r\n\r\n")
BESIDE = [
    f"{ORIGIN}/",
    f"{ORIGIN}/v1/jobs",
    f"{ORIGIN}/dev/inbox",
    f"{ORIGIN}{PATH}/",
    f"{ORIGIN}{PATH}?x=1",
    f"{ORIGIN}{PATH}/../../../v1/jobs",
    f"{ORIGIN}/v1/..{PATH}",
    f"{ORIGIN}//dev/inbox{PATH.removeprefix('/dev/inbox')}",
    f"{ORIGIN}{PATH.replace('dev', '%64ev')}",
    f"{ORIGIN}{PATH.upper()}",
    f"{ORIGIN}{PATH[:-1]}",
    f"{ORIGIN}{PATH}0",
    f"http://localhost:8000{PATH}",
    f"http://127.0.0.2:8000{PATH}",
    f"http://[::1]:8000{PATH}",
    f"HTTP://127.0.0.1:8000{PATH}",
    f"https://127.0.0.1:8000{PATH}",
]


@pytest.mark.parametrize("policy", [POLICY, replace(POLICY, allow=())])
def test_exactly_the_inbox_may_be_called(policy: EgressPolicy) -> None:
    assert str(check_url(f"{ORIGIN}{PATH}", policy)) == f"{ORIGIN}{PATH}"


@pytest.mark.parametrize("url", BESIDE)
def test_what_stands_beside_it_leads_back_to_this_service(url: str) -> None:
    with pytest.raises(EgressRefused):
        check_url(url, POLICY)


def test_without_the_inbox_its_address_is_the_services_own() -> None:
    with pytest.raises(EgressRefused, match="this service"):
        check_url(f"{ORIGIN}{PATH}", replace(POLICY, inbox=""))


@pytest.mark.parametrize(
    ("host", "origin"),
    [("127.0.0.1", ORIGIN), ("0.0.0.0", ORIGIN), ("localhost", ORIGIN), ("::", "http://[::1]:8000")],  # noqa: S104
)
def test_the_policy_has_one_only_where_it_was_switched_on(host: str, origin: str) -> None:
    given = environment(public_url="", host=host)
    assert build_policy(given).inbox == ""
    assert build_policy(replace(given, dev_inbox=True)).inbox == origin


def test_a_post_reaches_it_and_no_other_method_or_path_opens_a_connection() -> None:
    async def scenario() -> None:
        async with peer(OK) as listener:
            own = replace(POLICY, own=(("127.0.0.1", listener.port),), inbox=listener.url("").rstrip("/"))
            async with EgressClient(own, resolver=FakeResolver(["127.0.0.1"])) as client:
                answer = await client.send(EgressRequest("POST", listener.url(PATH)))
                assert answer.status == 204
                assert await listener.dialled() == ["127.0.0.1"]
                for request in (
                    EgressRequest("GET", listener.url(PATH)),
                    EgressRequest("POST", listener.url("/v1/jobs")),
                    EgressRequest("POST", listener.url(PATH, host="alias.test")),
                ):
                    with pytest.raises(EgressFailed):
                        await client.send(request)
                assert await listener.dialled() == ["127.0.0.1"], "the first one only"

    asyncio.run(scenario())
