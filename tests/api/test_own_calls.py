"""A call of this service to its own API, by whatever name it got there, ends there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobservice.crypto.root_key import RootKeyring
from jobservice.egress.client import EgressClient, EgressRequest
from tenants.root_keys import root_keyring
from tests.api.keys import problem
from tests.egress.servers import LOCAL, FakeResolver, fixed, peer
from tests.factories import Tenant
from workers import egress_pool

pytestmark = pytest.mark.django_db


def mark_that_goes_out(monkeypatch: pytest.MonkeyPatch) -> str:
    """The header of a request that the egress process, started as the worker starts it, sends to some endpoint."""

    class NotStarted(egress_pool.EgressProcess):
        def __init__(self, *_: Any, mark: str | None = None, **__: Any) -> None:
            self.mark = mark

        def start(self) -> None:
            pass

    monkeypatch.setattr(egress_pool, "EgressProcess", NotStarted)
    monkeypatch.setattr(egress_pool, "_process", None)
    egress_pool._start()
    process = egress_pool._process
    assert isinstance(process, NotStarted)
    assert process.mark is not None
    return asyncio.run(call_an_alias(process.mark))


async def call_an_alias(mark: str) -> str:
    """The mark on a call to some name that leads to a service."""
    ok = fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    async with peer(ok) as listener, EgressClient(LOCAL, resolver=FakeResolver(["127.0.0.1"]), mark=mark) as client:
        url = listener.url(host="alias-of-our-own.test")
        await client.send(EgressRequest("POST", url, {"job-via": "something else"}))
        lines = listener.requests[0].decode().split("\r\n")
        (found,) = [line.partition(": ")[2] for line in lines if line.lower().startswith("job-via:")]
        return found


def test_the_api_refuses_what_the_egress_sent(api: Any, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = mark_that_goes_out(monkeypatch)
    for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/v1/openapi.json"), ("GET", "/nowhere")):
        body = {"type": "echo"} if method == "POST" else None
        call = api.post if method == "POST" else api.get
        answer = call(path, *([body] if body else []), key=tenant.api_key, Job_Via=mark)
        problem(answer, 400, "bad-request")
        assert answer.json()["detail"] == "The service does not call itself."
    assert api.get("/v1/jobs", key=tenant.api_key).json()["data"] == []


@pytest.mark.parametrize("mark", ["", "x", "0" * 32, "é", RootKeyring({1: b"R" * 32}).mark()])
def test_the_api_takes_what_another_installation_sent(api: Any, tenant: Tenant, mark: str) -> None:
    assert api.get("/v1/jobs", key=tenant.api_key, Job_Via=mark).status_code == 200


def test_the_mark_outlives_a_rotation_and_shows_no_key() -> None:
    old, rotated, later = (RootKeyring(keys) for keys in ({1: b"A" * 32}, {1: b"A" * 32, 2: b"B" * 32}, {2: b"B" * 32}))
    assert old.mark() == rotated.mark() != later.mark()
    assert rotated.is_own_mark(old.mark())
    assert rotated.is_own_mark(later.mark())
    assert not later.is_own_mark(old.mark())
    assert root_keyring().is_own_mark(root_keyring().mark())
    assert old.mark() not in old.fingerprint()
