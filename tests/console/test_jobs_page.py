"""The list of jobs: what it finds, who may act on it, and what of it stays fresh."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobservice.jobs.change import JobChange, change_job
from jobservice.jobs.models import LiveJob
from tenants.models import AuditEvent
from tenants.models import Tenant as TenantRow
from tests.console.visiting import make_person, text_of
from tests.factories import make_job
from tests.jobs.test_selectors import end, job_uuid

pytestmark = pytest.mark.django_db


def rows_of(answer: Any) -> list[str]:
    return re.findall(r'data-row="(job_[0-9a-z]+)"', answer.content.decode())


def live_href(answer: Any, name: str) -> str:
    found = re.search(rf'id="{name}"[^>]*hx-get="([^"]+)"', answer.content.decode())
    assert found is not None
    return found[1].replace("&amp;", "&")


def test_the_newest_jobs_come_first_and_nobody_elses(tenant: Any, other_tenant: Any) -> None:
    jobs = [make_job(tenant, queue="mail"), make_job(tenant)]
    make_job(other_tenant)
    answer = make_person(tenant, "viewer").get("/console/jobs")
    assert answer.status_code == 200
    assert rows_of(answer) == [jobs[1]["id"], jobs[0]["id"]]


@pytest.mark.parametrize(
    ("search", "wanted"),
    [
        ("queue:mail", [0]),
        ("state:available", [1, 0]),
        ("state:completed", [2]),
        ("tag:customer:42", [1]),
        ('tag:"customer:Mr X"', [0]),
        ("echo since:1h", [2, 1, 0]),
        ("until:2h", []),
    ],
)
def test_a_search_finds_what_it_names(tenant: Any, search: str, wanted: list[int]) -> None:
    jobs = [
        make_job(tenant, queue="mail", tags={"customer": "Mr X"}),
        make_job(tenant, tags={"customer": "42"}),
        make_job(tenant),
    ]
    end(jobs[2])
    answer = make_person(tenant).get(f"/console/jobs?q={search}")
    assert rows_of(answer) == [jobs[at]["id"] for at in wanted]


@pytest.mark.parametrize(
    "search", ["state:gone", "color:red", "since:tomorrow", "id:job_x", "tag:x", "queue:a queue:b", "priority:00012"]
)
def test_a_search_that_is_not_understood_says_so_and_finds_nothing(tenant: Any, search: str) -> None:
    make_job(tenant)
    answer = make_person(tenant).get(f"/console/jobs?q={search}")
    assert answer.status_code == 200
    assert rows_of(answer) == []
    assert 'role="alert"' in answer.content.decode()


def test_an_id_leads_to_its_job_and_a_foreign_one_is_as_unknown(tenant: Any, other_tenant: Any) -> None:
    mine, foreign = make_job(tenant), make_job(other_tenant)
    visitor = make_person(tenant)
    assert visitor.get(f"/console/jobs?q={mine['id']}")["Location"] == f"/console/jobs/{mine['id']}"
    assert "There is no job of this id." in text_of(visitor.get(f"/console/jobs?q=id:{foreign['id']}"))


def test_pages_follow_one_another_and_a_foreign_cursor_is_told(tenant: Any, other_tenant: Any) -> None:
    jobs = [make_job(tenant)["id"] for _ in range(52)]
    visitor = make_person(tenant)
    first = visitor.get("/console/jobs")
    older = re.search(r'href="([^"]+)" rel="next"', first.content.decode())
    assert older is not None
    second = visitor.get(older[1].replace("&amp;", "&"))
    assert rows_of(first) + rows_of(second) == jobs[::-1]
    answer = make_person(other_tenant).get(older[1].replace("&amp;", "&"))
    assert answer.status_code == 200
    assert rows_of(answer) == []


def test_pages_of_a_time_that_counts_from_now_follow_one_another(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.jobs.PAGE_SIZE", 1)
    jobs = [make_job(tenant)["id"] for _ in range(2)]
    visitor = make_person(tenant)
    first = visitor.get('/console/jobs?q=type:echo since:"2 h"')
    older = re.search(r'href="([^"]+)" rel="next"', first.content.decode())
    assert older is not None
    second = visitor.get(older[1].replace("&amp;", "&"))
    assert 'role="alert"' not in second.content.decode()
    assert rows_of(first) + rows_of(second) == jobs[::-1]
    shown = re.search(r'<a class="[^"]*" href="([^"]+)">(?:(?!</a>).)*As JSON', second.content.decode(), re.DOTALL)
    assert shown is not None
    as_json = text_of(visitor.get(shown[1].replace("&amp;", "&")))
    assert jobs[0] in as_json
    assert jobs[1] not in as_json


def test_rows_stay_where_they_are_and_new_ones_are_only_counted(tenant: Any) -> None:
    jobs = [make_job(tenant), make_job(tenant)]
    visitor = make_person(tenant)
    href = live_href(visitor.get("/console/jobs"), "rows")
    make_job(tenant)
    LiveJob.objects.filter(job_id=job_uuid(jobs[0])).update(priority=7)
    answer = visitor.get(href)
    assert rows_of(answer) == [jobs[1]["id"], jobs[0]["id"]]
    assert " 7 " in text_of(answer)
    assert "1 new: show" in text_of(answer)


def test_what_has_not_changed_is_not_sent_again(tenant: Any) -> None:
    job = make_job(tenant)
    visitor = make_person(tenant)
    page = visitor.get("/console/jobs")
    for name in ("rows", "tabs"):
        href = live_href(page, name)
        first = visitor.get(href)
        again = visitor.get(href, If_None_Match=first["ETag"])
        assert (again.status_code, again.content) == (304, b"")
        end(job) if name == "rows" else make_job(tenant)
        assert visitor.get(href, If_None_Match=first["ETag"]).status_code == 200


@pytest.mark.parametrize(("module", "name"), [("jobs", "rows"), ("job", "job")])
def test_how_long_a_job_waits_is_told_anew_each_minute(
    tenant: Any, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    class Later:
        @staticmethod
        def now(zone: Any) -> datetime:
            return datetime.now(zone) + timedelta(minutes=1)

    job, visitor = make_job(tenant), make_person(tenant)
    href = live_href(visitor.get("/console/jobs" if name == "rows" else f"/console/jobs/{job['id']}"), name)
    tag = visitor.get(href)["ETag"]
    assert visitor.get(href, If_None_Match=tag).status_code == 304
    monkeypatch.setattr(f"tenants.console.{module}.datetime", Later)
    assert re.search(r"1 m \d\d s", text_of(visitor.get(href, If_None_Match=tag)))


def test_tags_that_are_changed_are_shown(tenant: Any) -> None:
    job, visitor = make_job(tenant), make_person(tenant)
    href = live_href(visitor.get("/console/jobs"), "rows")
    tag = visitor.get(href)["ETag"]
    change_job(tenant.id, job_uuid(job), JobChange(tags={"customer": "42"}))
    assert "customer 42" in text_of(visitor.get(href, If_None_Match=tag))


def test_pages_are_packed_on_their_way_and_still_told_apart(tenant: Any) -> None:
    for _ in range(50):
        make_job(tenant, tags={"customer": "4711", "env": "prod"})
    visitor = make_person(tenant)
    page = visitor.get("/console/jobs", Accept_Encoding="gzip")
    assert page["Content-Encoding"] == "gzip"
    assert len(page.content) < 60_000
    rows = live_href(visitor.get("/console/jobs"), "rows")
    first = visitor.get(rows, Accept_Encoding="gzip")
    assert visitor.get(rows, Accept_Encoding="gzip", If_None_Match=first["ETag"]).status_code == 304


def test_rows_of_others_are_not_shown_by_their_ids(tenant: Any, other_tenant: Any) -> None:
    foreign = make_job(other_tenant)
    answer = make_person(tenant).get(f"/console/jobs/rows?jobs={foreign['id']}")
    assert rows_of(answer) == []


def test_a_list_is_copied_as_curl_and_shown_as_json(tenant: Any) -> None:
    job = make_job(tenant, queue="mail")
    visitor = make_person(tenant)
    assert "/v1/jobs?queue=mail" in visitor.get("/console/jobs?q=queue:mail").content.decode()
    assert job["id"] in text_of(visitor.get("/console/jobs/json?q=queue:mail"))


def test_without_jobs_the_page_says_how_to_send_one(tenant: Any) -> None:
    visitor = make_person(tenant)
    answer = visitor.get("/console/jobs")
    assert "No jobs yet" in text_of(answer)
    # The form around the list sends it; with no row there is none to be selected first.
    assert 'formaction="/console/jobs/test"' in answer.content.decode()
    assert "data-row-form" not in answer.content.decode()
    assert "Send a test job" not in text_of(make_person(tenant, "viewer").get("/console/jobs"))
    shown = visitor.follow(visitor.post("/console/jobs/test"))
    assert "A test job is on its way." in text_of(shown)


def test_selected_jobs_are_counted_before_anything_is_done(tenant: Any) -> None:
    jobs = [make_job(tenant)["id"] for _ in range(3)]
    visitor = make_person(tenant, "operator")
    asked = visitor.post("/console/jobs/cancel", job=jobs[:2])
    assert "Cancel 2 jobs?" in text_of(asked)
    assert LiveJob.objects.count() == 3
    shown = visitor.follow(visitor.post("/console/jobs/cancel", job=jobs[:2], confirmed="1"))
    assert "done for 2 jobs" in text_of(shown)
    assert LiveJob.objects.count() == 1
    assert AuditEvent.objects.filter(action="job.cancelled", actor_type="member").count() == 2


def test_what_cannot_be_done_to_some_is_told_and_done_to_the_others(tenant: Any, other_tenant: Any) -> None:
    mine, foreign = make_job(tenant), make_job(other_tenant)
    visitor = make_person(tenant)
    answer = visitor.post("/console/jobs/cancel", job=[mine["id"], foreign["id"]], confirmed="1")
    assert "done for 1 job. Not for 1: There is no job of this id." in text_of(visitor.follow(answer))
    assert LiveJob.objects.get().tenant_id == other_tenant.id


def test_what_there_is_no_room_for_is_told_and_done_to_the_others(tenant: Any) -> None:
    jobs = [make_job(tenant)["id"] for _ in range(2)]
    visitor = make_person(tenant)
    visitor.post("/console/jobs/cancel", job=jobs, confirmed="1")
    TenantRow.objects.filter(id=tenant.id).update(quotas={"open_jobs": 1})
    told = text_of(visitor.follow(visitor.post("/console/jobs/retry", job=jobs, confirmed="1")))
    assert "done for 1 job. Not for 1: The tenant's quota open_jobs is 1" in told
    assert LiveJob.objects.count() == 1
    ended = next(job for job in jobs if LiveJob.objects.get().job_id != job_uuid({"id": job}))
    alone = visitor.follow(visitor.post(f"/console/jobs/{ended}/retry"))
    assert "The tenant's quota open_jobs is 1" in text_of(alone)
    refused = visitor.post("/console/jobs/test")
    assert refused.status_code == 429
    assert "A limit is reached" in text_of(refused)
    assert "Too many tries" not in text_of(refused)


def test_all_that_match_become_a_bulk_action(tenant: Any) -> None:
    for _ in range(3):
        make_job(tenant, queue="mail")
    make_job(tenant)
    visitor = make_person(tenant)
    fields = {"q": "queue:mail", "all": "1"}
    assert "Cancel 3 jobs?" in text_of(visitor.post("/console/jobs/cancel", **fields))
    shown = visitor.follow(visitor.post("/console/jobs/cancel", **fields, confirmed="1", counted="3"))
    assert "3 of 3 done" in text_of(shown)
    assert LiveJob.objects.count() == 1


def test_all_of_a_time_that_counts_from_now_are_those_that_were_counted(tenant: Any) -> None:
    make_job(tenant)
    asked = make_person(tenant).post("/console/jobs/cancel", q="type:echo until:1h since:2026-01-31", all="1")
    kept = re.search(r'name="q" value="type:echo until:(\S+) since:(\S+)"', asked.content.decode())
    assert kept is not None
    assert abs(datetime.fromisoformat(kept[1]) + timedelta(hours=1) - datetime.now(UTC)) < timedelta(minutes=1)
    assert kept[2] == "2026-01-31T00:00:00+00:00"


def test_many_are_acted_on_only_when_their_number_is_typed(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.console.job_acts.TYPED_FROM", 1)
    for _ in range(2):
        make_job(tenant, queue="mail")
    visitor = make_person(tenant)
    fields = {"q": "queue:mail", "all": "1", "confirmed": "1", "counted": "2"}
    for typed in ({}, {"typed": "3"}, {"typed": "x"}):
        answer = visitor.post("/console/jobs/cancel", **fields, **typed)
        assert answer.status_code == 422
    assert LiveJob.objects.count() == 2
    visitor.post("/console/jobs/cancel", **fields, typed="2")
    assert LiveJob.objects.count() == 0


def test_all_of_the_tenants_jobs_at_once_are_refused(tenant: Any) -> None:
    make_job(tenant)
    assert make_person(tenant).post("/console/jobs/cancel", all="1", confirmed="1", counted="1").status_code == 422
    assert LiveJob.objects.count() == 1


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        ("viewer", "retry", 403),
        ("viewer", "cancel", 403),
        ("viewer", "test", 403),
        ("operator", "erase", 403),
        ("admin", "erase", 403),
        ("owner", "erase", 200),
        ("operator", "retry", 200),
    ],
)
def test_who_may_act_is_decided_by_the_role(tenant: Any, role: str, path: str, status: int) -> None:
    job = make_job(tenant)
    assert make_person(tenant, role).post(f"/console/jobs/{path}", job=[job["id"]]).status_code == status
