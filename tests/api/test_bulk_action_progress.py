"""GET /v1/bulk-actions, one of them, and POST …/abort; and the turns in which an action comes forward."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobservice import ids
from jobservice.ids import new_id
from jobservice.jobs import bulk_actions, bulk_turns
from jobservice.jobs.bulk_actions import KEEP_SECONDS, prune_bulk_actions
from jobservice.jobs.bulk_turns import MAX_STALLS, lease_next_action, serve_turn
from jobservice.jobs.models import BulkAction
from tenants.models import Tenant as TenantRow
from tests.api.bulk_actions import ask, counts, row_of, serve_all, states
from tests.api.keys import faults, make_key, problem, without_request_id
from tests.factories import Tenant, make_job
from tests.roles import as_role

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every action goes to the background, a turn acts on two jobs."""
    monkeypatch.setattr(bulk_actions, "SMALL_JOBS", 0)
    monkeypatch.setattr(bulk_turns, "BATCH_JOBS", 2)


def make_action(api: Any, tenant: Tenant, jobs: int = 5, **fields: Any) -> dict[str, Any]:
    """A cancel of so many jobs that has not begun."""
    for _ in range(jobs):
        make_job(tenant, **fields)
    shown: dict[str, Any] = ask(api, tenant, "cancel", type="echo").json()
    return shown


def take_turn(**options: Any) -> None:
    with as_role("web"):
        lease = lease_next_action()
        assert lease is not None
        serve_turn(lease, **{"max_seconds": 0.0, **options})


def read(api: Any, tenant: Tenant, shown: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v1/bulk-actions/{shown['id']}", key=tenant.api_key).json()
    return found


def test_progress_is_seen_batch_by_batch(api: Any, tenant: Tenant) -> None:
    shown = make_action(api, tenant)
    for done in (2, 4, 5):
        take_turn()
        assert counts(read(api, tenant, shown)) == ("running", 5, done, 0)
    take_turn()
    assert counts(read(api, tenant, shown)) == ("completed", 5, 5, 0)
    with as_role("web"):
        assert lease_next_action() is None


def test_an_aborted_action_acts_on_no_further_job(api: Any, tenant: Tenant) -> None:
    shown = make_action(api, tenant)
    take_turn()
    answer = api.post(f"/v1/bulk-actions/{shown['id']}/abort", key=tenant.api_key)
    assert (answer.status_code, counts(answer.json())) == (200, ("aborted", 5, 2, 0))
    assert answer.json()["finished_at"] is not None
    again = api.post(f"/v1/bulk-actions/{shown['id']}/abort", {}, key=tenant.api_key)
    assert again.json() == answer.json() == read(api, tenant, shown)
    assert serve_all() == 0
    assert states(tenant) == {"cancelled": 2, "available": 3}


def test_an_abort_stops_whoever_is_in_the_middle_of_it(api: Any, tenant: Tenant) -> None:
    shown = make_action(api, tenant)
    with as_role("web"):
        lease = lease_next_action()
    assert lease is not None
    api.post(f"/v1/bulk-actions/{shown['id']}/abort", key=tenant.api_key)
    with as_role("web"):
        serve_turn(lease)
    assert states(tenant) == {"available": 5}


def test_what_ended_by_itself_cannot_be_aborted(api: Any, tenant: Tenant) -> None:
    shown = make_action(api, tenant)
    serve_all()
    problem(api.post(f"/v1/bulk-actions/{shown['id']}/abort", key=tenant.api_key), 409, "conflict")
    assert read(api, tenant, shown)["status"] == "completed"


def test_an_abort_says_nothing_more(api: Any, tenant: Tenant) -> None:
    path = f"/v1/bulk-actions/{make_action(api, tenant)['id']}/abort"
    assert faults(api.post(path, {"why": 1}, key=tenant.api_key)) == {("/why", "unknown-field")}
    assert faults(api.post(f"{path}?why=1", key=tenant.api_key)) == {("/why", "unknown-parameter")}


def test_a_list_is_newest_first_and_has_pages(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    made = [make_action(api, tenant, jobs=1)["id"] for _ in range(3)]
    make_action(api, other_tenant)
    first = api.get("/v1/bulk-actions?limit=2", key=tenant.api_key).json()
    assert [entry["id"] for entry in first["data"]] == made[:0:-1]
    rest = api.get(f"/v1/bulk-actions?limit=2&cursor={first['next_cursor']}", key=tenant.api_key).json()
    assert ([entry["id"] for entry in rest["data"]], rest["next_cursor"]) == (made[:1], None)
    bad = api.get(f"/v1/bulk-actions?cursor={first['next_cursor']}", key=other_tenant.api_key)
    assert faults(bad) == {("/cursor", "bad-cursor")}


@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("POST", "/abort")])
def test_another_tenants_action_is_answered_as_an_unknown_one(
    api: Any, tenant: Tenant, other_tenant: Tenant, method: str, tail: str
) -> None:
    theirs = make_action(api, other_tenant)["id"]
    unknown = ids.show_id(ids.BULK_ACTION, new_id())
    answers = [
        api.call(method, f"/v1/bulk-actions/{which}{tail}", None, tenant.api_key, {})
        for which in (theirs, unknown, "bat_nonsense", make_job(tenant)["id"])
    ]
    problem(answers[0], 404, "not-found")
    answers_told = [without_request_id(answer) for answer in answers]
    assert answers_told == answers_told[:1] * 4
    assert BulkAction.objects.get(tenant_id=other_tenant.id).status == "running"


def test_a_limited_key_sees_what_reaches_no_further_than_itself(api: Any, tenant: Tenant) -> None:
    make_job(tenant, queue="mail")
    keys = {
        names: make_key(tenant, "jobs:read", "jobs:write", queues=list(names))
        for names in (("mail",), ("letters", "mail"), ("letters",))
    }
    narrow = ask(api, tenant, "cancel", key=keys[("mail",)], type="echo").json()
    wide = ask(api, tenant, "cancel", type="echo").json()
    seen = {
        names: [entry["id"] for entry in api.get("/v1/bulk-actions", key=key).json()["data"]]
        for names, key in keys.items()
    }
    assert seen == {("mail",): [narrow["id"]], ("letters", "mail"): [narrow["id"]], ("letters",): []}
    problem(api.get(f"/v1/bulk-actions/{narrow['id']}", key=keys[("letters",)]), 404, "not-found")
    problem(api.post(f"/v1/bulk-actions/{wide['id']}/abort", key=keys[("mail",)]), 404, "not-found")
    assert api.post(f"/v1/bulk-actions/{narrow['id']}/abort", key=keys[("mail",)]).status_code == 200


def test_a_dead_holder_is_waited_for_and_then_another_goes_on(api: Any, tenant: Tenant) -> None:
    shown = make_action(api, tenant)
    take_turn()
    with as_role("web"):
        dead = lease_next_action()
        assert dead is not None
        assert lease_next_action() is None
    BulkAction.objects.update(leased_until=Now() - timedelta(seconds=1))
    assert serve_all() == 1
    assert counts(read(api, tenant, shown)) == ("completed", 5, 5, 0)
    with as_role("web"):
        serve_turn(dead)
    assert counts(read(api, tenant, shown)) == ("completed", 5, 5, 0)


def test_who_lost_its_lease_acts_on_nothing(api: Any, tenant: Tenant) -> None:
    make_action(api, tenant)
    with as_role("web"):
        late = lease_next_action()
        assert late is not None
    BulkAction.objects.update(holder=new_id())
    with as_role("web"):
        serve_turn(late)
    assert states(tenant) == {"available": 5}


def test_a_step_renews_the_lease(api: Any, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = make_action(api, tenant)
    with as_role("web"):
        lease = lease_next_action()
    assert lease is not None
    BulkAction.objects.update(leased_until=Now() + timedelta(seconds=1))
    monkeypatch.setattr(bulk_turns, "_give_back", lambda _lease: None)
    before = row_of(shown).leased_until
    with as_role("web"):
        serve_turn(lease, max_seconds=0.0)
    after = row_of(shown).leased_until
    assert before is not None
    assert after is not None
    assert after - before > timedelta(seconds=20)


def test_a_process_that_stops_ends_after_the_job_in_hand_and_gives_its_lease_back(api: Any, tenant: Tenant) -> None:
    shown = make_action(api, tenant)
    looks = iter([False, False, True, True, True])
    take_turn(is_stopping=lambda: next(looks), max_seconds=60.0)
    row = row_of(shown)
    assert (row.done, row.holder, row.stalls) == (1, None, 0)


def test_each_action_gets_its_turn(api: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    first, second = make_action(api, tenant), make_action(api, other_tenant)
    for _ in range(2):
        take_turn()
    assert (row_of(first).done, row_of(second).done) == (2, 2)
    for _ in range(2):
        take_turn()
    assert (row_of(first).done, row_of(second).done) == (4, 4)


def test_a_suspended_tenants_action_waits(api: Any, tenant: Tenant) -> None:
    make_action(api, tenant)
    TenantRow.objects.filter(id=tenant.id).update(status="suspended")
    assert serve_all() == 0
    TenantRow.objects.filter(id=tenant.id).update(status="active")
    assert serve_all() > 0
    assert states(tenant) == {"cancelled": 5}


def test_an_action_that_never_comes_forward_is_given_up(api: Any, tenant: Tenant) -> None:
    shown = make_action(api, tenant)
    for _ in range(MAX_STALLS):
        with as_role("web"):
            assert lease_next_action() is not None
        BulkAction.objects.update(leased_until=Now() - timedelta(seconds=1))
    with as_role("web"):
        assert lease_next_action() is None
    found = read(api, tenant, shown)
    assert counts(found) == ("failed", 5, 0, 0)
    assert found["error"]["code"] == "stalled"
    assert states(tenant) == {"available": 5}


def test_actions_that_ended_long_ago_are_removed(api: Any, tenant: Tenant) -> None:
    old, fresh, running = (make_action(api, tenant, jobs=1) for _ in range(3))
    for shown in (old, fresh):
        api.post(f"/v1/bulk-actions/{shown['id']}/abort", key=tenant.api_key)
    long_ago = Now() - timedelta(seconds=KEEP_SECONDS + 1)
    BulkAction.objects.filter(id=row_of(old).id).update(finished_at=long_ago)
    BulkAction.objects.filter(id=row_of(running).id).update(created_at=long_ago)
    with as_role("dispatcher"):
        assert prune_bulk_actions() == 1
    assert {row.status for row in BulkAction.objects.all()} == {"aborted", "running"}
