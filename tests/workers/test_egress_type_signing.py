"""How calls of http job types are signed: written through the API, verified by a receiver over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from jobservice.egress.client import EgressClient
from jobservice.jobs.outcomes import Outcome
from tenants.models import SigningSecret
from tests.contract import check_webhook
from tests.egress.servers import LOCAL
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import WORKER, claim, record, start
from tests.roles import as_role
from tests.serving import serving
from tests.webhooks.test_webhooks_page import verify_of
from tests.workers.test_egress_endpoints import Receiver
from workers.executors.http import HttpEnd, HttpRun, prepare_http_jobs, run_http_job

pytestmark = pytest.mark.django_db
# The receiver's side of the schemes: the library of Standard Webhooks, and the code of docs/webhooks.md.
verifies_v1a = verify_of("v1a.py")
OWN = {"scheme": "v1", "own": True}
PUBLIC = {"scheme": "v1a", "own": True}


def verifies_v1(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


class Site:
    """A tenant with the type `work.do`, whose endpoint is a receiver on loopback."""

    def __init__(self, api: Any, tenant: Tenant, receiver: Receiver) -> None:
        self.api = api
        self.tenant = tenant
        self.receiver = receiver

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.api.call(method, path, body, self.tenant.api_key, {})
        assert answer.status_code in (200, 201), answer.content
        return answer.json()

    def put(self, signing: Any, name: str = "work.do") -> Any:
        """The signing that the API answers."""
        spec = {"executor": "http", "http": {"url": self.receiver.url, "signing": signing}}
        return self.ask("PUT", f"/v1/job-types/{name}", spec)["http"]["signing"]

    def rotate(self, **body: Any) -> Any:
        return self.ask("POST", "/v1/job-types/work.do/rotate-secret", body)["http"]["signing"]

    def default(self) -> Any:
        return self.ask("GET", "/v1/signing-secrets/default")

    def call(self, name: str = "work.do", **fields: Any) -> tuple[dict[str, str], bytes]:
        """The request that a job of the type comes to, by the worker's own code from the claim to the record."""
        make_job(self.tenant, type=name, **fields)
        jobs = start(claim(pool="egress"))
        with as_role("worker"):
            runs = prepare_http_jobs(jobs, worker_id=WORKER, began=0.0)

        async def send(run: HttpRun) -> HttpEnd:
            async with EgressClient(LOCAL) as client:
                return await run_http_job(run, client)

        (end,) = [asyncio.run(send(run)) for run in runs]
        assert isinstance(end, Outcome)
        assert end.kind == "completed", end.error_code
        record(end)
        headers, body = self.receiver.received[-1]
        return dict(headers), body


@pytest.fixture
def site(api: Any, tenant: Tenant) -> Iterator[Site]:
    with serving(Receiver()) as receiver:
        yield Site(api, tenant, receiver)


def test_a_types_own_secret_signs_its_calls_and_no_other_secret_does(site: Site) -> None:
    secret = site.put(OWN)["secret"]
    headers, body = site.call()
    check_webhook("job.run", headers, body)
    assert verifies_v1(secret, headers, body)
    assert not verifies_v1(secret, headers, body + b" ")
    assert not verifies_v1(site.default()["secret"], headers, body)
    site.put({"scheme": "v1"}, name="work.too")
    headers, body = site.call("work.too")
    assert verifies_v1(site.default()["secret"], headers, body)
    assert not verifies_v1(secret, headers, body)


@pytest.mark.parametrize("own", [True, False])
def test_a_v1a_call_verifies_with_the_public_key_that_is_shown_and_with_no_other(site: Site, own: bool) -> None:
    key = site.put({"scheme": "v1a", "own": own})["public_key"]
    stranger = site.put(PUBLIC, name="work.too")["public_key"]
    headers, body = site.call()
    check_webhook("job.run", headers, body)
    assert verifies_v1a(key, headers, body)
    assert not verifies_v1a(stranger, headers, body)
    assert not verifies_v1a(key, headers, body + b" ")
    assert verifies_v1a(site.default()["public_key"], headers, body) == (not own)
    assert {part.partition(",")[0] for part in headers["webhook-signature"].split(" ")} == {"v1a"}


@pytest.mark.parametrize(
    ("signing", "shown", "verifies"), [(OWN, "secret", verifies_v1), (PUBLIC, "public_key", verifies_v1a)]
)
def test_during_a_rotation_old_and_new_verify_and_after_it_the_new_alone(
    site: Site, signing: Any, shown: str, verifies: Any
) -> None:
    old = site.put(signing)[shown]
    new = site.rotate(overlap_seconds=3600)[shown]
    request = site.call()
    assert [verifies(key, *request) for key in (old, new)] == [True, True]
    assert len(request[0]["webhook-signature"].split(" ")) == 2
    # A PUT in between ends no overlap.
    site.put(signing)
    assert verifies(old, *site.call())
    newest = site.rotate(overlap_seconds=0)[shown]
    SigningSecret.objects.filter(valid_until__isnull=False).update(valid_until="2020-01-01T00:00:00Z")
    request = site.call()
    assert [verifies(key, *request) for key in (old, new, newest)] == [False, False, True]


def test_a_rotation_of_the_default_secret_changes_nothing_for_a_type_with_its_own(site: Site) -> None:
    secret = site.put(OWN)["secret"]
    default = site.ask("POST", "/v1/signing-secrets/default/rotate", {"overlap_seconds": 3600})["secret"]
    headers, body = site.call()
    assert verifies_v1(secret, headers, body)
    assert not verifies_v1(default, headers, body)
    assert len(headers["webhook-signature"].split(" ")) == 1


def test_a_type_that_gave_its_secret_up_signs_with_the_default_one_again(site: Site) -> None:
    secret = site.put(OWN)["secret"]
    site.put(None)
    request = site.call()
    assert [verifies_v1(one, *request) for one in (secret, site.default()["secret"])] == [False, True]


def test_each_type_of_a_group_is_signed_in_its_own_way(site: Site) -> None:
    own = site.put(OWN, name="work.own")["secret"]
    key = site.put(PUBLIC, name="work.public")["public_key"]
    site.put(None)
    checks: dict[str, Callable[..., bool]] = {
        "work.do": lambda *request: verifies_v1(site.default()["secret"], *request),
        "work.own": lambda *request: verifies_v1(own, *request),
        "work.public": lambda *request: verifies_v1a(key, *request),
    }
    for name in checks:
        make_job(site.tenant, type=name)
    jobs = start(claim(pool="egress"))
    with as_role("worker"):
        runs = prepare_http_jobs(jobs, worker_id=WORKER, began=0.0)

    async def send() -> None:
        async with EgressClient(LOCAL) as client:
            for run in runs:
                await run_http_job(run, client)

    asyncio.run(send())
    assert len(site.receiver.received) == 3
    for run, (headers, body) in zip(runs, site.receiver.received, strict=True):
        passed = {name for name, check in checks.items() if check(dict(headers), body)}
        assert passed == {run.job.type}


def test_an_adhoc_call_is_not_signed(site: Site) -> None:
    site.put(OWN)
    headers, _ = site.call("http.request", payload={"method": "POST", "url": site.receiver.url})
    assert not any(name.startswith("webhook-") for name in headers)


def test_a_broken_own_secret_fails_the_jobs_of_its_type_only(site: Site) -> None:
    site.put(OWN)
    row = SigningSecret.objects.exclude(name="default").get()
    SigningSecret.objects.filter(id=row.id).update(sealed=bytes(row.sealed)[:-1] + b"\x00\x00")
    site.put(None, name="work.too")
    for name in ("work.do", "work.too"):
        make_job(site.tenant, type=name)
    jobs = start(claim(pool="egress"))
    with as_role("worker"):
        runs = prepare_http_jobs(jobs, worker_id=WORKER, began=0.0)
    codes = {run.job.type: getattr(run.call, "error_code", None) for run in runs}
    assert codes == {"work.do": "unreadable", "work.too": None}
