"""Workers: which there are, what they run of one's own jobs, and what of them only operators are told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from allauth.mfa.models import Authenticator
from django.db.models.functions import Now

from jobservice.ids import show_id
from jobservice.jobs.fleet import beat_worker, register_worker
from jobservice.jobs.models import Worker
from jobservice.jobs.timeline import WORKER
from jobservice.webhooks.models import LiveDelivery
from tenants.console.job_rows import short_id
from tenants.models import Account, Member
from tests.console.visiting import Visitor, make_person, text_of
from tests.factories import make_job
from tests.jobs.dispatching import claim, start
from tests.roles import as_role
from tests.webhooks.test_endpoints import end_job, make_endpoint
from tests.webhooks.test_endpoints import start as start_deliveries

pytestmark = pytest.mark.django_db
# Longer than what an id could hold by chance.
HOST, PID = "host-of-workers.example", 987_654_321
PLACES = (HOST, str(PID), "In use", "Host", "Process")


def make_worker(pool: str = "handlers", *, slots: int = 16, **report: Any) -> UUID:
    with as_role("worker"):
        worker_id = register_worker(pool=pool, slots=slots)
        beats = {"jobs_per_slot": 1, "run_times": {}, "is_draining": False, **report}
        assert beat_worker(worker_id, slots=slots, **beats)
    Worker.objects.filter(id=worker_id).update(host=HOST, pid=PID, version="9.8.7")
    return worker_id


def make_operator(tenant: Any) -> Visitor:
    visitor = make_person(tenant, "viewer")
    account_id = Member.objects.get(id=visitor.member_id).account_id
    assert account_id is not None
    Account.objects.filter(id=account_id).update(is_staff=True)
    # Operators must have a second factor.
    Authenticator.objects.create(user_id=account_id, type="totp", data={})
    return visitor


def test_without_workers_it_says_how_to_start_one(tenant: Any) -> None:
    words = text_of(make_person(tenant, "viewer").get("/console/workers"))
    assert "No worker: its work waits." in words
    assert "python manage.py worker handlers" in words
    make_worker()
    assert "python manage.py worker" not in text_of(make_person(tenant, "viewer").get("/console/workers"))


def test_it_shows_each_worker_and_how_it_is(tenant: Any) -> None:
    make_worker()
    make_worker("egress", slots=200, is_draining=True)
    silent = make_worker("deliveries", slots=300)
    Worker.objects.filter(id=silent).update(seen_at=Now() - timedelta(minutes=7))
    words = text_of(make_person(tenant, "viewer").get("/console/workers"))
    for word in ("9.8.7", "Live", "Draining", "Silent", "7 m ago", "under 10 s ago", "16 slots 1 worker"):
        assert word in words
    # Those that take nothing more, or say nothing, count for nothing.
    assert words.count("No worker: its work waits.") == 2


def test_a_member_sees_what_runs_of_their_own_jobs_and_nothing_of_other_tenants(tenant: Any, other_tenant: Any) -> None:
    worker = make_worker(busy_slots=13)
    for owner, count in ((tenant, 2), (other_tenant, 5)):
        for _ in range(count):
            make_job(owner)
    started = start(claim(), worker_id=worker)
    assert len(started) == 7
    page = make_person(tenant, "owner").get("/console/workers").content.decode()
    assert 'data-name="Running of yours">2<' in page
    for word in PLACES:
        assert word not in page
    words = text_of(make_person(tenant, "owner").get("/console/workers/rows"))
    # The end of an id may hold any two digits.
    shown = short_id(show_id(WORKER, worker))
    assert shown in words
    assert "13" not in words.replace(shown, "")
    assert 'data-name="Running of yours">5<' in make_person(other_tenant).get("/console/workers").content.decode()


def test_deliveries_under_way_count_as_what_a_worker_runs(tenant: Any) -> None:
    make_endpoint(tenant)
    end_job(tenant)
    start_deliveries()
    under_way = LiveDelivery.objects.get(state="delivering")
    Worker.objects.filter(id=make_worker("deliveries")).update(id=under_way.worker_id)
    assert 'data-name="Running of yours">1<' in make_person(tenant).get("/console/workers").content.decode()


def test_operators_also_see_where_workers_run_and_how_full_they_are(tenant: Any) -> None:
    make_worker(busy_slots=13)
    make_worker("egress")
    page = make_operator(tenant).get("/console/workers").content.decode()
    for word in (*PLACES, "13 / 16"):
        assert word in page


def test_the_part_that_stays_fresh_is_sent_only_when_something_changed(tenant: Any) -> None:
    worker = make_worker()
    visitor = make_person(tenant, "viewer")
    first = visitor.get("/console/workers/rows")
    Worker.objects.filter(id=worker).update(seen_at=Now())
    assert visitor.get("/console/workers/rows", If_None_Match=first["ETag"]).status_code == 304
    Worker.objects.filter(id=worker).update(is_draining=True)
    again = visitor.get("/console/workers/rows", If_None_Match=first["ETag"])
    assert again.status_code == 200
    assert "Draining" in text_of(again)
