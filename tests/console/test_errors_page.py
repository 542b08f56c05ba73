"""Errors: groups of failed runs, what somebody says of one, and its jobs retried together."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jobservice.ids import ERROR_GROUP, MEMBER, show_id
from jobservice.jobs.models import BulkAction, ErrorGroup, LiveJob
from tenants.models import AuditEvent
from tests.clock_edges import begin_within
from tests.console.test_jobs_page import live_href, rows_of
from tests.console.visiting import make_person, text_of
from tests.factories import make_job
from tests.jobs.test_error_groups import fail

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script> & <b>bold</b>"


def groups_of(answer: Any) -> list[str]:
    return re.findall(r'data-row="(err_[0-9a-z]+)"', answer.content.decode())


def page_of(tenant: Any, **found: Any) -> str:
    return f"/console/errors/{show_id(ERROR_GROUP, ErrorGroup.objects.get(tenant_id=tenant.id, **found).id)}"


def test_failures_that_are_alike_are_one_row_and_nobody_elses(tenant: Any, other_tenant: Any) -> None:
    begin_within(3600)
    fail(tenant, "Order 17 is gone", "Order 18 is gone", "Another thing")
    fail(other_tenant, "A secret of others")
    answer = make_person(tenant, "viewer").get("/console/errors")
    words = text_of(answer)
    assert len(groups_of(answer)) == 2
    assert "Order 17 is gone" in words
    assert "Another thing" in words
    assert "A secret of others" not in words
    assert re.search(r"Order 17 is gone 2 runs: its jobs", words)
    assert "Runs that failed, by hour: now 2, at most 2" in answer.content.decode()


def test_the_navigation_knows_the_page_and_its_key(tenant: Any) -> None:
    content = make_person(tenant, "viewer").get("/console/errors").content.decode()
    assert re.search(r'href="/console/errors" aria-current="page" data-jump="e"', content)


def test_without_failures_the_page_says_so(tenant: Any) -> None:
    assert "No open errors" in text_of(make_person(tenant).get("/console/errors"))
    assert "No errors match" in text_of(make_person(tenant).get("/console/errors?state=ignored"))


def test_tabs_and_the_type_are_in_the_address(tenant: Any) -> None:
    fail(tenant, "One")
    fail(tenant, "Two", type="fail")
    ErrorGroup.objects.filter(type="fail").update(state="resolved")
    visitor = make_person(tenant)
    for query, wanted in {
        "": ["One"],
        "?state=resolved": ["Two"],
        "?state=all": ["One", "Two"],
        "?state=all&type=echo": ["One"],
        "?type=fail": [],
    }.items():
        words = text_of(visitor.get(f"/console/errors{query}"))
        assert [text for text in ("One", "Two") if f"handler-error {text}" in words] == wanted, query


@pytest.mark.parametrize("query", ["state=gone", "type=No%20Name", "cursor=nonsense"])
def test_a_filter_that_is_not_understood_says_so_and_finds_nothing(tenant: Any, query: str) -> None:
    fail(tenant, "One")
    answer = make_person(tenant).get(f"/console/errors?{query}")
    assert (answer.status_code, groups_of(answer)) == (200, [])
    assert 'role="alert"' in answer.content.decode()


def test_a_group_shows_its_text_its_numbers_and_its_jobs(tenant: Any) -> None:
    begin_within(3600)
    fail(tenant, "Order 17 is gone", "Order 18 is gone")
    answer = make_person(tenant, "viewer").get(page_of(tenant))
    words = text_of(answer)
    assert "Order 17 is gone" in words
    assert "this hour 2" in words
    assert len(rows_of(answer)) == 2
    link = re.search(r'href="(/console/jobs\?q=error:err_[^"]+)"', answer.content.decode())
    assert link is not None
    assert rows_of(make_person(tenant).get(link[1])) == rows_of(answer)


def test_a_search_by_error_finds_no_other_jobs_and_no_foreign_ones(tenant: Any, other_tenant: Any) -> None:
    fail(tenant, "One")
    fail(other_tenant, "Two")
    make_job(tenant)
    foreign = show_id(ERROR_GROUP, ErrorGroup.objects.get(tenant_id=other_tenant.id).id)
    visitor = make_person(tenant)
    assert rows_of(visitor.get(f"/console/jobs?q=error:{foreign}")) == []
    assert "err_x is no id of a group of errors" in text_of(visitor.get("/console/jobs?q=error:err_x"))


def test_texts_of_handlers_are_only_text(tenant: Any) -> None:
    fail(tenant, HOSTILE)
    visitor = make_person(tenant)
    for path in ("/console/errors", page_of(tenant)):
        answer = visitor.get(path)
        assert HOSTILE not in answer.content.decode()
        assert HOSTILE in text_of(answer)


def test_anothers_group_is_as_unknown(tenant: Any, other_tenant: Any) -> None:
    fail(other_tenant, "One")
    visitor, path = make_person(tenant), page_of(other_tenant)
    for address in (path, "/console/errors/err_01h455vb4pex5vsknk084sn02q", "/console/errors/nothing"):
        assert visitor.get(address).status_code == 404
        assert visitor.post(address, state="resolved").status_code == 404
    rows = visitor.get(f"/console/errors/rows?groups={path.rpartition('/')[2]}")
    assert groups_of(rows) == []
    assert ErrorGroup.objects.get().state == "open"


@pytest.mark.parametrize(
    ("state", "said"), [("resolved", "Resolved. It opens by itself"), ("ignored", "Ignored. It may come again.")]
)
def test_an_operator_says_what_a_group_is_and_opens_it_again(tenant: Any, state: str, said: str) -> None:
    fail(tenant, "One")
    visitor, path = make_person(tenant, "operator"), page_of(tenant)
    assert said in text_of(visitor.follow(visitor.post(path, state=state)))
    assert ErrorGroup.objects.get().state == state
    event = AuditEvent.objects.filter(tenant_id=tenant.id).latest("seq")
    assert (event.action, event.actor_id) == ("error-group.updated", show_id(MEMBER, visitor.member_id))
    back = visitor.post(path, state="open", back="list", seen_state="all", seen_type="echo")
    assert back["Location"] == "/console/errors?state=all&type=echo"
    assert "The group is open again." in text_of(visitor.follow(back))
    assert ErrorGroup.objects.get().state == "open"


def test_a_state_that_there_is_not_changes_nothing(tenant: Any) -> None:
    fail(tenant, "One")
    assert make_person(tenant).post(page_of(tenant), state="gone").status_code == 422
    assert ErrorGroup.objects.get().state == "open"


def test_a_viewer_changes_no_group_and_is_not_offered_it(tenant: Any) -> None:
    fail(tenant, "One")
    visitor, path = make_person(tenant, "viewer"), page_of(tenant)
    assert visitor.post(path, state="resolved").status_code == 403
    for address in ("/console/errors", path):
        words = text_of(visitor.get(address))
        assert "Resolve " not in words
        assert "Retry all" not in words


def test_all_jobs_of_a_group_are_retried_after_they_were_counted(tenant: Any) -> None:
    fail(tenant, "Order 17 is gone", "Order 18 is gone", "Another thing")
    visitor = make_person(tenant, "operator")
    group = ErrorGroup.objects.get(runs=2)
    page = visitor.get(f"/console/errors/{show_id(ERROR_GROUP, group.id)}").content.decode()
    search = re.search(r'name="q" value="(error:[^"]+)"', page)
    assert search is not None
    assert "Retry 2 jobs?" in text_of(visitor.post("/console/jobs/retry", q=search[1], all="1"))
    shown = visitor.follow(visitor.post("/console/jobs/retry", q=search[1], all="1", counted="2", confirmed="1"))
    assert search[1] in text_of(shown)
    assert BulkAction.objects.get().done == 2
    assert LiveJob.objects.filter(tenant_id=tenant.id).count() == 2


def test_rows_stay_and_new_groups_are_only_counted(tenant: Any) -> None:
    fail(tenant, "One")
    visitor = make_person(tenant)
    page = visitor.get("/console/errors")
    href = live_href(page, "rows")
    first = visitor.get(href)
    assert visitor.get(href, If_None_Match=first["ETag"]).status_code == 304
    fail(tenant, "Something else")
    answer = visitor.get(href, If_None_Match=first["ETag"])
    assert answer.status_code == 200
    assert groups_of(answer) == groups_of(page)
    assert "1 new: show" in text_of(answer)


def test_an_empty_page_hears_of_the_first_failure(tenant: Any) -> None:
    visitor = make_person(tenant)
    href = live_href(visitor.get("/console/errors"), "rows")
    fail(tenant, "One")
    assert "1 new: show" in text_of(visitor.get(href))


def test_pages_follow_one_another(tenant: Any) -> None:
    fail(tenant, *(f"Reason {'x' * number} is one" for number in range(1, 53)))
    visitor = make_person(tenant)
    first = visitor.get("/console/errors")
    older = re.search(r'href="([^"]+)" rel="next"', first.content.decode())
    assert older is not None
    second = visitor.get(older[1].replace("&amp;", "&"))
    assert len(groups_of(first)) == 50
    assert len({*groups_of(first), *groups_of(second)}) == 52


def test_of_a_full_page_a_group_of_the_next_one_is_not_new(tenant: Any) -> None:
    fail(tenant, *(f"Reason {'x' * number} is one" for number in range(1, 53)))
    visitor = make_person(tenant)
    page = visitor.get("/console/errors")
    href = live_href(page, "rows")
    visitor.post(f"/console/errors/{groups_of(page)[0]}", state="resolved")
    assert "new: show" not in text_of(visitor.get(href))
    fail(tenant, "Something else")
    assert "1 new: show" in text_of(visitor.get(href))


def test_a_button_of_a_row_goes_to_its_group_and_comes_back_to_the_list(tenant: Any) -> None:
    fail(tenant, "One")
    visitor = make_person(tenant, "operator")
    content = visitor.get("/console/errors?state=all&type=echo").content.decode()
    (form,) = re.findall(r'<form class="block" method="post">(.*?)</form>', content, re.DOTALL)
    fields = dict(re.findall(r'<input type="hidden" name="(back|seen_\w+)" value="([^"]*)"', form))
    target, state = re.findall(r'formaction="([^"]+)" name="state" value="(\w+)"', form)[0]
    back = visitor.post(target, state=state, **fields)
    assert back["Location"] == "/console/errors?state=all&type=echo"
    assert ErrorGroup.objects.get().state == state
