"""POST /v1/jobs/bulk-actions: what is asked, what is refused, and what becomes of the jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice.jobs import bulk_actions, bulk_turns
from jobservice.jobs.models import BulkAction, Job, LiveJob
from jobservice.webhooks.models import Event
from tenants.models import Tenant as TenantRow
from tests.api.bulk_actions import PATH, ask, counts, row_of, serve_all, states
from tests.api.keys import faults, make_key, problem
from tests.factories import make_job
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.jobs.limiting import limit_tenant
from tests.roles import set_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every action goes to the background."""
    monkeypatch.setattr(bulk_actions, "SMALL_JOBS", 0)


def end_all(kind: Any = "completed") -> None:
    for started in start(claim()):
        record(outcome_of(started, kind))


def test_a_small_cancel_is_over_with_its_answer(api: Any, tenant: Any) -> None:
    for queue in ("mail", "mail", "letters"):
        make_job(tenant, queue=queue)
    answer = ask(api, tenant, "cancel", queue="mail")
    shown = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Location"] == f"/v1/bulk-actions/{shown['id']}"
    assert shown["id"].startswith("bat_")
    assert (shown["action"], shown["filter"], shown["max"], shown["error"]) == ("cancel", {"queue": "mail"}, 1000, None)
    assert counts(shown) == ("completed", 2, 2, 0)
    assert shown["finished_at"] is not None
    assert states(tenant) == {"cancelled": 2, "available": 1}
    assert Event.objects.filter(tenant_id=tenant.id, type="job.cancelled").count() == 2
    assert api.get(answer.headers["Location"], key=tenant.api_key).json() == shown


def test_a_retry_makes_ended_jobs_available(api: Any, tenant: Any) -> None:
    for _ in range(3):
        make_job(tenant, max_attempts=1)
    end_all("failed")
    assert counts(ask(api, tenant, "retry", state="discarded").json()) == ("completed", 3, 3, 0)
    assert states(tenant) == {"available": 3}


def test_a_delete_erases_ended_jobs_and_skips_the_others(api: Any, tenant: Any) -> None:
    for _ in range(2):
        make_job(tenant)
    end_all()
    kept = make_job(tenant)
    assert counts(ask(api, tenant, "delete", type="echo").json()) == ("completed", 3, 2, 1)
    assert [row.id for row in Job.objects.filter(tenant_id=tenant.id)] == [job_uuid(kept)]
    assert states(tenant) == {"available": 1}


def test_jobs_that_the_action_does_not_apply_to_are_skipped(api: Any, tenant: Any) -> None:
    make_job(tenant)
    end_all()
    make_job(tenant)
    assert counts(ask(api, tenant, "retry", type="echo").json()) == ("completed", 2, 1, 1)
    assert states(tenant) == {"available": 2}
    end_all()
    assert counts(ask(api, tenant, "cancel", type="echo").json()) == ("completed", 2, 0, 2)


def test_a_running_job_is_asked_to_stop_and_not_erased(api: Any, tenant: Any) -> None:
    make_job(tenant)
    start(claim())
    assert counts(ask(api, tenant, "delete", state="executing").json()) == ("completed", 1, 0, 1)
    assert counts(ask(api, tenant, "cancel", state="executing").json()) == ("completed", 1, 1, 0)
    assert LiveJob.objects.get(tenant_id=tenant.id).cancel_requested


def test_a_retry_whose_unique_key_is_taken_is_skipped_and_leaves_nothing(api: Any, tenant: Any) -> None:
    make_job(tenant, unique={"key": "k"})
    end_all()
    make_job(tenant, unique={"key": "k"})
    assert counts(ask(api, tenant, "retry", state="completed").json()) == ("completed", 1, 0, 1)
    assert states(tenant) == {"completed": 1, "available": 1}


def test_a_retry_beyond_the_tenants_quota_is_skipped(api: Any, tenant: Any) -> None:
    for _ in range(4):
        make_job(tenant)
    end_all()
    limit_tenant(tenant, quotas={"open_jobs": 3})
    assert counts(ask(api, tenant, "retry", state="completed").json()) == ("completed", 4, 3, 1)
    assert states(tenant) == {"available": 3, "completed": 1}


def test_every_filter_chooses(api: Any, tenant: Any) -> None:
    wanted = make_job(tenant, priority=3, queue="mail", tags={"customer": "7", "size": "xl"}, delay_seconds=60)
    for fields in ({"priority": 4}, {"queue": "letters"}, {"tags": {"customer": "8"}}, {"delay_seconds": 0}):
        make_job(tenant, **{"priority": 3, "queue": "mail", "tags": {"customer": "7"}, "delay_seconds": 60, **fields})
    row = Job.objects.get(id=job_uuid(wanted))
    Job.objects.filter(id=row.id).update(created_at=row.created_at - timedelta(minutes=5))
    since = (row.created_at - timedelta(minutes=6)).isoformat()
    until = (row.created_at - timedelta(minutes=4)).isoformat()
    filters: list[dict[str, Any]] = [
        {"created_after": since, "created_before": until},
        {"tag": {"size": "xl"}},
        {"tag": "size:xl"},
        {"tag": ["customer:7", "size:xl"], "priority": 3, "queue": "mail", "state": "scheduled", "type": "echo"},
    ]
    for number, chosen in enumerate(filters):
        matched, done = (1, 1) if number == 0 else (1, 0)
        if "state" in chosen:
            matched = 0
        assert counts(ask(api, tenant, "cancel", **chosen).json()) == ("completed", matched, done, matched - done)
    assert states(tenant) == {"cancelled": 1, "scheduled": 3, "available": 1}


def test_the_filter_is_shown_as_it_can_be_sent_again(api: Any, tenant: Any) -> None:
    moment = "2027-01-31T12:00:00.123457+02:00"
    chosen: dict[str, Any] = {"tag": {"b": "x:y", "a": ""}, "created_after": moment, "priority": 0, "queue": None}
    shown = ask(api, tenant, "cancel", **chosen).json()["filter"]
    assert shown == {"tag": ["b:x:y", "a:"], "created_after": "2027-01-31T10:00:00.123457Z", "priority": 0}
    assert ask(api, tenant, "cancel", **shown).json()["filter"] == shown


def test_at_most_max_jobs_are_acted_on_the_oldest_first(api: Any, tenant: Any) -> None:
    jobs = [job_uuid(make_job(tenant)) for _ in range(5)]
    shown = ask(api, tenant, "cancel", type="echo", max=3).json()
    assert (counts(shown), shown["max"]) == (("completed", 3, 3, 0), 3)
    left = LiveJob.objects.filter(tenant_id=tenant.id).order_by("job_id").values_list("job_id", flat=True)
    assert list(left) == jobs[3:]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([], {("", "wrong-type")}),
        ({}, {("/action", "required"), ("/filter", "required")}),
        ({"action": "cancel", "filter": {}}, {("/filter", "required")}),
        ({"action": "cancel", "filter": None}, {("/filter", "required")}),
        ({"action": "cancel", "filter": {"queue": None, "tag": []}}, {("/filter", "required")}),
        ({"action": "cancel", "filter": []}, {("/filter", "wrong-type")}),
        ({"action": "stop", "filter": {"type": "echo"}}, {("/action", "out-of-range")}),
        ({"action": "cancel", "filter": {"type": "echo"}, "max": 0}, {("/max", "out-of-range")}),
        ({"action": "cancel", "filter": {"type": "echo"}, "max": 100_001}, {("/max", "out-of-range")}),
        ({"action": "cancel", "filter": {"type": "echo"}, "max": "5"}, {("/max", "wrong-type")}),
        ({"action": "cancel", "filter": {"type": "echo"}, "dry": True}, {("/dry", "unknown-field")}),
        ({"action": "cancel", "filter": {"status": "x"}}, {("/filter/status", "unknown-field")}),
        ({"action": "cancel", "filter": {"state": "gone"}}, {("/filter/state", "out-of-range")}),
        ({"action": "cancel", "filter": {"queue": "No Name"}}, {("/filter/queue", "bad-format")}),
        ({"action": "cancel", "filter": {"type": 7}}, {("/filter/type", "wrong-type")}),
        ({"action": "cancel", "filter": {"priority": 10}}, {("/filter/priority", "out-of-range")}),
        ({"action": "cancel", "filter": {"created_after": "today"}}, {("/filter/created_after", "bad-format")}),
        ({"action": "cancel", "filter": {"created_before": 5}}, {("/filter/created_before", "wrong-type")}),
        ({"action": "cancel", "filter": {"tag": "customer"}}, {("/filter/tag", "bad-format")}),
        ({"action": "cancel", "filter": {"tag": ["a:\x00"]}}, {("/filter/tag", "bad-format")}),
        ({"action": "cancel", "filter": {"tag": {"No": "1"}}}, {("/filter/tag", "bad-format")}),
        ({"action": "cancel", "filter": {"tag": {"a": 1}}}, {("/filter/tag", "wrong-type")}),
        ({"action": "cancel", "filter": {"tag": [1]}}, {("/filter/tag", "wrong-type")}),
        ({"action": "cancel", "filter": {"tag": 5}}, {("/filter/tag", "wrong-type")}),
        ({"action": "cancel", "filter": {"tag": ["a:1"] * 17}}, {("/filter/tag", "too-long")}),
        ({"filter": {"state": 1, "no": 2}, "max": 1.5}, {
            ("/action", "required"), ("/filter/state", "wrong-type"), ("/filter/no", "unknown-field"),
            ("/max", "wrong-type"),
        }),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_where_and_does_nothing(
    api: Any, tenant: Any, body: Any, expected: set[tuple[str, str]]
) -> None:
    make_job(tenant)
    assert faults(api.post(PATH, body, key=tenant.api_key)) == expected
    assert states(tenant) == {"available": 1}
    assert not BulkAction.objects.exists()


def test_unknown_parameters_are_refused(api: Any, tenant: Any) -> None:
    body = {"action": "cancel", "filter": {"type": "echo"}}
    assert faults(api.post(f"{PATH}?dry=1", body, key=tenant.api_key)) == {("/dry", "unknown-parameter")}


def test_without_a_key_or_its_scope_nothing_is_done(api: Any, tenant: Any) -> None:
    make_job(tenant)
    body = {"action": "cancel", "filter": {"type": "echo"}}
    problem(api.post(PATH, body), 401, "unauthenticated")
    problem(ask(api, tenant, "cancel", key=make_key(tenant, "jobs:read"), type="echo"), 403, "insufficient-scope")
    TenantRow.objects.filter(id=tenant.id).update(status="suspended")
    problem(ask(api, tenant, "cancel", type="echo"), 403, "forbidden")
    assert states(tenant) == {"available": 1}


def test_another_tenants_jobs_are_not_matched(api: Any, tenant: Any, other_tenant: Any) -> None:
    make_job(tenant)
    make_job(other_tenant)
    assert counts(ask(api, tenant, "cancel", type="echo").json()) == ("completed", 1, 1, 0)
    assert states(other_tenant) == {"available": 1}


def test_a_key_limited_to_queues_acts_on_their_jobs_only(api: Any, tenant: Any, large: None) -> None:
    for queue in ("mail", "letters", "mail"):
        make_job(tenant, queue=queue)
    key = make_key(tenant, "jobs:write", queues=["mail"])
    problem(ask(api, tenant, "cancel", key=key, queue="letters"), 403, "forbidden")
    assert not BulkAction.objects.exists()
    shown = ask(api, tenant, "cancel", key=key, type="echo").json()
    serve_all()
    assert counts(api.get(f"/v1/bulk-actions/{shown['id']}", key=tenant.api_key).json()) == ("completed", 2, 2, 0)
    assert states(tenant) == {"cancelled": 2, "available": 1}
    assert Job.objects.get(tenant_id=tenant.id, final_state=None).queue == "letters"


def test_a_limited_key_is_not_told_of_the_holder_of_a_unique_key_elsewhere(api: Any, tenant: Any) -> None:
    make_job(tenant, unique={"key": "k"}, queue="mail")
    end_all()
    make_job(tenant, unique={"key": "k"}, queue="letters")
    key = make_key(tenant, "jobs:write", queues=["mail"])
    assert counts(ask(api, tenant, "retry", key=key, type="echo").json()) == ("completed", 1, 0, 1)


def test_more_than_a_hundred_jobs_are_acted_on_in_the_background(api: Any, tenant: Any) -> None:
    body = {"mode": "atomic", "jobs": [{"type": "echo"}] * 101}
    assert api.post("/v1/jobs/bulk", body, key=tenant.api_key).status_code == 200
    answer = ask(api, tenant, "cancel", type="echo")
    assert answer.status_code == 202
    assert counts(answer.json()) == ("running", 101, 0, 0)
    assert answer.json()["finished_at"] is None
    assert states(tenant) == {"available": 101}
    serve_all()
    assert counts(api.get(answer.headers["Location"], key=tenant.api_key).json()) == ("completed", 101, 101, 0)
    assert states(tenant) == {"cancelled": 101}


def test_a_small_action_that_takes_too_long_goes_on_in_the_background(
    api: Any, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(60):
        make_job(tenant)
    monkeypatch.setattr("api.bulk_actions.ANSWER_SECONDS", 0.0)
    answer = ask(api, tenant, "cancel", type="echo")
    assert (answer.status_code, counts(answer.json())) == (202, ("running", 60, 50, 0))
    assert row_of(answer.json()).holder is None
    serve_all()
    assert states(tenant) == {"cancelled": 60}


def test_jobs_submitted_after_the_action_are_untouched(api: Any, tenant: Any, large: None) -> None:
    for _ in range(2):
        make_job(tenant)
    shown = ask(api, tenant, "cancel", type="echo").json()
    late = make_job(tenant)
    serve_all()
    assert counts(api.get(f"/v1/bulk-actions/{shown['id']}", key=tenant.api_key).json()) == ("completed", 2, 2, 0)
    assert [row.job_id for row in LiveJob.objects.filter(tenant_id=tenant.id)] == [job_uuid(late)]


def test_a_later_job_with_an_older_id_is_untouched(api: Any, tenant: Any, large: None) -> None:
    """Made on a machine whose clock is behind: the database's time tells."""
    late, first = make_job(tenant), make_job(tenant)
    row = Job.objects.filter(id=job_uuid(late))
    row.update(type="other")
    ask(api, tenant, "cancel", type="echo")
    row.update(type="echo", created_at=Now() + timedelta(seconds=1))
    serve_all()
    assert [row.job_id for row in LiveJob.objects.filter(tenant_id=tenant.id)] == [job_uuid(late)]
    assert Job.objects.get(id=job_uuid(first)).final_state == "cancelled"


def test_a_job_that_the_filter_matches_no_more_is_skipped(api: Any, tenant: Any, large: None) -> None:
    for _ in range(3):
        make_job(tenant)
    shown = ask(api, tenant, "cancel", state="available").json()
    start(claim(1))
    serve_all()
    assert counts(api.get(f"/v1/bulk-actions/{shown['id']}", key=tenant.api_key).json()) == ("completed", 3, 2, 1)
    assert states(tenant) == {"cancelled": 2, "executing": 1}
    assert not LiveJob.objects.get(tenant_id=tenant.id).cancel_requested


def test_a_skipped_job_makes_no_room_for_one_beyond_max(api: Any, tenant: Any, large: None) -> None:
    jobs = [job_uuid(make_job(tenant)) for _ in range(5)]
    shown = ask(api, tenant, "cancel", state="available", max=3).json()
    start(claim(1))
    serve_all()
    assert counts(api.get(f"/v1/bulk-actions/{shown['id']}", key=tenant.api_key).json()) == ("completed", 3, 2, 1)
    available = LiveJob.objects.filter(tenant_id=tenant.id, state="available").order_by("job_id")
    assert list(available.values_list("job_id", flat=True)) == jobs[3:]


def test_the_filter_is_looked_at_again_when_it_is_a_jobs_turn(
    api: Any, tenant: Any, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job_uuid(make_job(tenant, queue="mail")) for _ in range(3)]
    shown = ask(api, tenant, "cancel", queue="mail").json()
    find_work = bulk_turns._find_work

    def find_and_lose_one(lease: Any) -> Any:
        work = find_work(lease)
        set_role("owner")
        Job.objects.filter(id=jobs[1]).update(queue="letters")
        set_role("web")
        return work

    monkeypatch.setattr(bulk_turns, "_find_work", find_and_lose_one)
    serve_all()
    assert counts(api.get(f"/v1/bulk-actions/{shown['id']}", key=tenant.api_key).json()) == ("completed", 3, 2, 1)
    assert [row.job_id for row in LiveJob.objects.filter(tenant_id=tenant.id)] == [jobs[1]]


@pytest.mark.parametrize("action", ["cancel", "retry", "delete"])
def test_a_filter_that_matches_nothing_is_completed_at_once(api: Any, tenant: Any, action: str) -> None:
    answer = ask(api, tenant, action, queue="nothing.here")
    assert (answer.status_code, counts(answer.json())) == (200, ("completed", 0, 0, 0))


def test_the_same_request_again_gets_the_first_answer_and_does_nothing(api: Any, tenant: Any) -> None:
    make_job(tenant)
    headers = {"Idempotency_Key": "k"}
    first = ask(api, tenant, "cancel", type="echo", headers=headers)
    make_job(tenant)
    second = ask(api, tenant, "cancel", type="echo", headers=headers)
    assert (first.status_code, second.status_code) == (200, 200)
    assert counts(first.json()) == ("completed", 1, 1, 0)
    assert first.content == second.content
    assert first.headers["Location"] == second.headers["Location"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert states(tenant) == {"cancelled": 1, "available": 1}
    problem(ask(api, tenant, "retry", type="echo", headers=headers), 422, "idempotency-key-reused")


def test_a_request_whose_process_died_is_answered_with_what_it_began(
    api: Any, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(tenant)
    with monkeypatch.context() as patch:
        patch.setattr("api.bulk_actions.serve_turn", _die)
        problem(ask(api, tenant, "cancel", type="echo", headers={"Idempotency_Key": "k"}), 500, "internal")
    again = ask(api, tenant, "cancel", type="echo", headers={"Idempotency_Key": "k"})
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    BulkAction.objects.update(leased_until=Now() - timedelta(seconds=1))
    serve_all()
    assert counts(api.get(again.headers["Location"], key=tenant.api_key).json()) == ("completed", 1, 1, 0)
    assert BulkAction.objects.count() == 1


def _die(*_: Any, **__: Any) -> None:
    raise RuntimeError


def test_at_most_ten_run_at_once(api: Any, tenant: Any, other_tenant: Any, large: None) -> None:
    make_job(tenant)
    make_job(other_tenant)
    shown = [ask(api, tenant, "cancel", type="echo").json() for _ in range(10)]
    problem(ask(api, tenant, "cancel", type="echo"), 409, "conflict")
    assert BulkAction.objects.filter(tenant_id=tenant.id).count() == 10
    assert ask(api, other_tenant, "cancel", type="echo").status_code == 202
    api.post(f"/v1/bulk-actions/{shown[0]['id']}/abort", key=tenant.api_key)
    assert ask(api, tenant, "cancel", type="echo").status_code == 202


def test_an_action_is_told_with_its_counts(
    api: Any, tenant: Any, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(bulk_actions, "log_event", lambda event, **fields: told.append((event, fields)))
    make_job(tenant)
    make_job(tenant)
    end_all()
    make_job(tenant)
    with django_capture_on_commit_callbacks(execute=True):
        ask(api, tenant, "cancel", type="echo")
    row = BulkAction.objects.get()
    same = {"tenant_id": tenant.id, "bulk_action_id": row.id, "kind": "cancel"}
    assert told == [
        ("bulk_action_made", {**same, "count": 3}),
        ("bulk_action_completed", {**same, "level": "info", "count": 1, "skipped": 2}),
    ]
