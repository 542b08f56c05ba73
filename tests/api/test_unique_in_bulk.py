"""`unique` in `POST /v1/jobs/bulk`: each job as if it had come alone, one after another."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from jobservice import statements
from jobservice.jobs.models import Job, LiveJob, UniqueClaim
from jobservice.webhooks.models import Event
from tests.api.keys import faults, make_key
from tests.factories import Tenant
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start

pytestmark = pytest.mark.django_db


def job(key: str | None = "k", on_conflict: str = "return", **fields: Any) -> dict[str, Any]:
    unique = {key: fields.pop(key) for key in ("while", "period_seconds") if key in fields}
    return {
        "type": "echo",
        **fields,
        "unique": None if key is None else {"key": key, "on_conflict": on_conflict, **unique},
    }


def submit(api: Any, tenant: Tenant, *jobs: Any, mode: str = "partial", key: str | None = None) -> Any:
    return api.post("/v1/jobs/bulk", {"mode": mode, "jobs": list(jobs)}, key=key or tenant.api_key)


def entries(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    return list(answer.json()["data"])


def statuses(found: list[dict[str, Any]]) -> list[int]:
    return [entry["status"] for entry in found]


def running(tenant: Tenant) -> None:
    assert len(start(claim())) == 1


def test_each_entry_has_a_status_of_its_own(api: Any, tenant: Tenant) -> None:
    (old,) = entries(submit(api, tenant, job("old")))
    found = entries(
        submit(api, tenant, job("old"), job("new"), job(None), job("old", "reject"), {"type": "nobody.knows"})
    )
    assert statuses(found) == [200, 201, 201, 409, 422]
    assert found[0]["job"] == {**old["job"], "deduplicated": True}
    assert found[3]["problem"]["code"] == "unique-conflict"
    assert found[3]["problem"]["existing_id"] == old["job"]["id"]
    assert Job.objects.count() == LiveJob.objects.count() == 3


@pytest.mark.parametrize("mode", ["atomic", "partial"])
def test_of_two_with_one_key_the_first_takes_it(api: Any, tenant: Tenant, mode: str) -> None:
    found = entries(submit(api, tenant, job(payload=1), job(payload=2), job("other"), mode=mode))
    assert statuses(found) == [201, 200, 201]
    assert found[1]["job"] == {**found[0]["job"], "deduplicated": True}
    assert UniqueClaim.objects.filter(job_id=job_uuid(found[0]["job"])).count() == 1


def test_a_later_one_that_rejects_names_the_first(api: Any, tenant: Tenant) -> None:
    found = entries(submit(api, tenant, job(), job("k", "reject")))
    assert statuses(found) == [201, 409]
    assert found[1]["problem"]["existing_id"] == found[0]["job"]["id"]


@pytest.mark.parametrize("mode", ["atomic", "partial"])
def test_a_later_one_that_replaces_takes_the_place_of_the_first(api: Any, tenant: Tenant, mode: str) -> None:
    first, second, third = entries(submit(api, tenant, job(), job("k", "replace"), job(), mode=mode))
    assert statuses([first, second, third]) == [201, 201, 200]
    assert (first["job"]["state"], first["job"]["error"]["code"]) == ("cancelled", "replaced")
    assert second["job"]["state"] == "available"
    assert third["job"]["id"] == second["job"]["id"]
    assert Event.objects.get().type == "job.cancelled"
    assert LiveJob.objects.get().job_id == UniqueClaim.objects.get().job_id == job_uuid(second["job"])
    read = api.get(f"/v1/jobs/{first['job']['id']}", key=tenant.api_key).json()
    assert read == first["job"]


def test_one_that_replaces_replaces_what_earlier_entries_were_answered_with(api: Any, tenant: Tenant) -> None:
    (old,) = entries(submit(api, tenant, job()))
    found = entries(submit(api, tenant, job(), job("k", "replace"), job("k", "replace"), job("k", "reject")))
    assert statuses(found) == [200, 201, 201, 409]
    assert (found[0]["job"]["id"], found[0]["job"]["state"]) == (old["job"]["id"], "cancelled")
    assert [entry["job"]["state"] for entry in found[:3]] == ["cancelled", "cancelled", "available"]
    assert found[3]["problem"]["existing_id"] == found[2]["job"]["id"]
    assert LiveJob.objects.count() == UniqueClaim.objects.count() == 1


def test_nothing_replaces_a_run(api: Any, tenant: Tenant) -> None:
    (old,) = entries(submit(api, tenant, job()))
    running(tenant)
    found = entries(submit(api, tenant, job("k", "replace"), job(), job("k", "replace"), job("free", "replace")))
    assert statuses(found) == [409, 200, 409, 201]
    assert {entry["problem"]["existing_id"] for entry in (found[0], found[2])} == {old["job"]["id"]}


def test_a_period_that_goes_on_is_met_first_and_replaced_then(api: Any, tenant: Tenant) -> None:
    (old,) = entries(submit(api, tenant, job(period_seconds=3600)))
    (started,) = start(claim())
    record(outcome_of(started))
    found = entries(submit(api, tenant, job(), job("k", "replace"), job()))
    assert statuses(found) == [200, 201, 200]
    assert (found[0]["job"]["id"], found[0]["job"]["state"]) == (old["job"]["id"], "completed")
    assert found[2]["job"]["id"] == found[1]["job"]["id"]


def test_the_last_that_takes_the_key_says_how_long(api: Any, tenant: Tenant) -> None:
    entries(submit(api, tenant, job(period_seconds=60), job("k", "replace", **{"while": "waiting"})))
    held = UniqueClaim.objects.get()
    assert (held.held_while, held.expires_at) == ("waiting", None)


def test_an_atomic_group_with_a_conflict_stores_nothing_and_names_it(api: Any, tenant: Tenant) -> None:
    (old,) = entries(submit(api, tenant, job("a")))
    jobs = [job("x"), job("a", "reject"), job("y", period_seconds=5), job("b"), job("b", "reject"), job("a")]
    answer = submit(api, tenant, *jobs, mode="atomic")
    assert faults(answer) == {("/jobs/1/unique", "unique-conflict"), ("/jobs/4/unique", "unique-conflict")}
    told = {fault["pointer"]: fault["detail"] for fault in answer.json()["errors"]}
    assert told["/jobs/1/unique"] == f"Job {old['job']['id']} holds this unique key."
    assert told["/jobs/4/unique"] == "An earlier job of the group holds this unique key."
    assert Job.objects.count() == UniqueClaim.objects.count() == 1


def test_an_atomic_group_that_fails_replaces_nobody(api: Any, tenant: Tenant) -> None:
    (old,) = entries(submit(api, tenant, job("a")))
    answer = submit(api, tenant, job("a", "replace"), job("b"), job("b", "reject"), mode="atomic")
    assert faults(answer) == {("/jobs/2/unique", "unique-conflict")}
    assert LiveJob.objects.get().job_id == UniqueClaim.objects.get().job_id == job_uuid(old["job"])
    assert not Event.objects.exists()


def test_a_wrong_unique_is_named_with_its_place(api: Any, tenant: Tenant) -> None:
    answer = submit(api, tenant, job(), {"type": "echo", "unique": {"fields": ["nonsense"]}}, mode="atomic")
    assert faults(answer) == {("/jobs/1/unique/fields/0", "out-of-range")}


def test_a_limited_key_is_not_told_of_jobs_elsewhere(api: Any, tenant: Tenant) -> None:
    mail = make_key(tenant, "jobs:write", queues=["mail"])
    (old,) = entries(submit(api, tenant, job("a", queue="letters")))
    jobs = [job("a", conflict, queue="mail") for conflict in ("return", "reject", "replace")]
    answer = submit(api, tenant, *jobs, job("b", queue="mail"), key=mail)
    found = entries(answer)
    assert statuses(found) == [409, 409, 409, 201]
    assert {entry["problem"]["existing_id"] for entry in found[:3]} == {None}
    assert old["job"]["id"] not in answer.content.decode()


def test_a_thousand_with_keys_are_taken_in_one_statement(
    api: Any, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: Counter[str] = Counter()
    read = statements.read_statement
    monkeypatch.setattr(statements, "read_statement", lambda path: ran.update([path.stem]) or read(path))
    submit(api, tenant, job("first"))  # makes the lane, and looks for it before: at once, for the key, and for the job
    assert (ran["take_claims"], ran["insert_jobs"]) == (2, 3)
    ran.clear()
    submit(api, tenant, job("second"))  # alone it takes its key with the statement that stores it
    assert (ran["take_claims"], ran["insert_jobs"]) == (0, 1)
    ran.clear()
    jobs = [job(f"k{number % 500}") for number in range(1000)]
    found = entries(submit(api, tenant, *jobs))
    assert (statuses(found).count(201), statuses(found).count(200)) == (500, 500)
    assert UniqueClaim.objects.count() == 502
    assert ran["take_claims"] == ran["insert_jobs"] == 1
    assert sum(ran.values()) < 12
