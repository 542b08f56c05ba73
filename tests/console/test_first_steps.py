"""The first steps: ticked by what there is, for who may take them, until they are done or hidden."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jobservice.ids import TENANT, show_id
from jobservice.jobs.retry import retry_job
from tenants.api_keys import create_api_key
from tenants.context import tenant_tx
from tenants.models import ApiKey
from tests.console.people import join
from tests.console.visiting import Visitor, make_person
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.jobs.folding import fold
from tests.jobs.test_selectors import end
from tests.webhooks import test_endpoints as deliveries
from tests.webhooks.test_endpoints import make_endpoint
from workers.executors.deliveries import Try, make_result

pytestmark = pytest.mark.django_db

COOKIE = "console-steps"
SEND, DONE, RETRY = "Send a job", "See it done", "Let one fail, and retry it"
HOOK, KEY, INVITE = "Add a webhook, and see a delivery", "Make an API key", "Invite someone"


def steps_of(visitor: Visitor) -> dict[str, bool]:
    """Each step that is shown, and whether it is ticked."""
    content = visitor.get("/console/").content.decode()
    found = re.findall(r'<li class="step-row" data-tone="(\w+)">(.*?)</li>', content, re.DOTALL)
    names = [re.search(r">\s*([^<>\s][^<>]*)<", row) for _tone, row in found]
    return {name[1]: tone == "success" for name, (tone, _row) in zip(names, found, strict=True) if name is not None}


def ticked(visitor: Visitor) -> list[str]:
    return [name for name, is_done in steps_of(visitor).items() if is_done]


def let_one_fail(tenant: Tenant) -> dict[str, Any]:
    job = make_job(tenant, max_attempts=1)
    record(*[outcome_of(one, "failed", error_code="no", error_message="no") for one in start(claim())])
    fold()
    return job


def deliver(tenant: Tenant) -> None:
    """An endpoint that was told of the end of a job."""
    make_endpoint(tenant)
    make_job(tenant)
    record(*map(outcome_of, start(claim())))
    deliveries.record(*[make_result(one, Try(status=200)) for one in deliveries.runs()])


def make_second_key(tenant: Tenant) -> None:
    with tenant_tx(tenant.id):
        create_api_key(tenant.id, name="second", scopes=["jobs:read"])


def test_a_new_tenant_sees_all_of_them(tenant: Tenant) -> None:
    assert steps_of(make_person(tenant)) == dict.fromkeys((SEND, DONE, RETRY, HOOK, KEY, INVITE), False)


@pytest.mark.parametrize(
    ("role", "steps"),
    [("admin", [SEND, DONE, RETRY, HOOK, KEY, INVITE]), ("operator", [SEND, DONE, RETRY]), ("viewer", [])],
)
def test_everybody_sees_what_they_may_do(tenant: Tenant, role: str, steps: list[str]) -> None:
    assert list(steps_of(make_person(tenant, role))) == steps


def test_a_job_and_its_end_tick_the_first_two(tenant: Tenant, other_tenant: Tenant) -> None:
    end(make_job(other_tenant))
    visitor = make_person(tenant)
    assert ticked(visitor) == []
    job = make_job(tenant)
    assert ticked(visitor) == [SEND]
    end(job)
    assert ticked(visitor) == [SEND, DONE]


def test_a_failure_ticks_nothing_until_somebody_has_retried(tenant: Tenant) -> None:
    visitor, job = make_person(tenant), let_one_fail(tenant)
    assert ticked(visitor) == [SEND]
    retry_job(tenant.id, job_uuid(job))
    assert ticked(visitor) == [SEND, RETRY]


def test_all_that_match_are_retried_too(tenant: Tenant) -> None:
    visitor = make_person(tenant)
    let_one_fail(tenant)
    visitor.post("/console/jobs/retry", q="state:discarded", all="1", counted="1", confirmed="1")
    assert RETRY in ticked(visitor)


def test_an_endpoint_ticks_nothing_until_it_was_told(tenant: Tenant, other_tenant: Tenant) -> None:
    visitor = make_person(tenant)
    make_endpoint(tenant)
    deliver(other_tenant)
    assert ticked(visitor) == []
    deliver(tenant)
    assert HOOK in ticked(visitor)


def test_a_key_beside_the_first_and_another_person_tick_theirs(tenant: Tenant) -> None:
    visitor = make_person(tenant)
    make_second_key(tenant)
    assert ticked(visitor) == [KEY]
    join(tenant, "other@example.com", "viewer")
    assert ticked(visitor) == [KEY, INVITE]


def test_they_are_hidden_for_this_tenant_and_no_other(tenant: Tenant, other_tenant: Tenant) -> None:
    visitor = make_person(tenant, "operator")
    answer = visitor.post("/console/first-steps/hide")
    assert steps_of(visitor) == {}
    other = make_person(other_tenant, "operator")
    other.keep(COOKIE, answer.cookies[COOKIE].value)
    assert len(steps_of(other)) == 3
    other.post("/console/first-steps/hide")
    assert steps_of(other) == {}
    assert other.kept(COOKIE) == ".".join(show_id(TENANT, one.id) for one in (tenant, other_tenant))


def test_they_are_gone_when_all_are_done_and_stay_gone(tenant: Tenant) -> None:
    visitor, job = make_person(tenant), let_one_fail(tenant)
    retry_job(tenant.id, job_uuid(job))
    deliver(tenant)
    make_second_key(tenant)
    assert len(ticked(visitor)) == 5
    join(tenant, "other@example.com", "viewer")
    assert steps_of(visitor) == {}
    ApiKey.objects.filter(name="second").delete()
    assert steps_of(visitor) == {}


def test_the_first_one_is_done_here(tenant: Tenant) -> None:
    visitor = make_person(tenant, "operator")
    assert 'action="/console/jobs/test"' in visitor.get("/console/").content.decode()
    visitor.post("/console/jobs/test")
    assert ticked(visitor) == [SEND]
