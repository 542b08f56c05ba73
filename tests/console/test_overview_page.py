"""The overview: five numbers, charts with tables, the worst types and queues, in a time that the address says."""

from __future__ import annotations

import re
from datetime import datetime
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobservice.jobs.models import LiveJob
from jobservice.jobs.queues import change_queue
from tests.clock_edges import begin_within
from tests.console.test_jobs_page import live_href, rows_of
from tests.console.visiting import make_person, text_of
from tests.factories import make_job
from tests.jobs.dispatching import claim, job_uuid, outcome_of, record, start
from tests.jobs.folding import fold, run

pytestmark = pytest.mark.django_db


def end_jobs(tenant: Any, *kinds: Any, **fields: Any) -> None:
    """A job for each kind of outcome, counted in the statistics."""
    for _ in kinds:
        make_job(tenant, max_attempts=1, **fields)
    started = start(claim())
    outcomes = [outcome_of(one, kind, **_error(kind)) for one, kind in zip(started, kinds, strict=True)]
    record(*outcomes)
    fold()


def _error(kind: str) -> dict[str, str]:
    return {} if kind == "completed" else {"error_code": "no", "error_message": "no"}


def figures_of(answer: Any) -> dict[str, str]:
    content = answer.content.decode()
    found = re.findall(r'figure-name">([^<]+)</span><span class="figure-value">([^<]+)<', content)
    return {name: unescape(value) for name, value in found}


def columns_of(answer: Any) -> list[tuple[str, str]]:
    """Where each step of the chart leads, and what it says."""
    content = answer.content.decode()
    found = re.findall(r'<a href="([^"]+)" tabindex="-1"><title>([^<]+)</title>', content)
    return [(unescape(href), title) for href, title in found]


def table_rows(answer: Any, title: str) -> list[list[str]]:
    """The cells of the table that stands under a title."""
    content = answer.content.decode().partition(f'role="group" aria-labelledby="{title}"')[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(<td.*?)</tr>", content, re.DOTALL)
    return [re.findall(r">([^<>]+)<", row) for row in rows]


def test_the_five_numbers_are_the_tenants_own(tenant: Any, other_tenant: Any) -> None:
    end_jobs(tenant, "completed", "completed", "completed", "failed")
    end_jobs(other_tenant, "failed")
    make_job(tenant, queue="mail")
    LiveJob.objects.update(due_at="2020-01-01T00:00:00Z")
    make_job(other_tenant, queue="others")
    found = figures_of(make_person(tenant, "viewer").get("/console/overview?range=15m"))
    assert list(found) == ["Ready", "Running", "Done a minute", "Failed", "Oldest wait"]
    assert (found["Ready"], found["Running"], found["Failed"]) == ("1", "0", "25 %")
    # In sixteen steps of a minute, the first and the last one begun.
    assert found["Done a minute"] == "0.19"
    assert re.fullmatch(r"\d+ d \d+ h", found["Oldest wait"])


def test_each_number_has_a_spark_with_its_words(tenant: Any) -> None:
    begin_within(60)
    end_jobs(tenant, "completed", "failed")
    labels = re.findall(
        r'class="spark"[^>]*aria-label="([^"]+)"', make_person(tenant).get("/console/").content.decode()
    )
    assert [label.partition(":")[0] for label in labels] == [
        "accepted",
        "runs that ended",
        "completed",
        "failed for good, %",
        "wait p95, ms",
    ]
    assert labels[0].endswith("at most 2")
    assert labels[3].endswith("at most 50.0")


def test_the_consoles_door_leads_to_the_overview_and_the_navigation_says_so(tenant: Any) -> None:
    content = make_person(tenant).get("/console/").content.decode()
    assert "Jobs that ended" in content
    assert re.search(r'href="/console/overview" aria-current="page" data-jump="o"', content)


def test_a_column_says_what_ended_and_leads_to_the_jobs_of_its_time(tenant: Any) -> None:
    begin_within(60)
    end_jobs(tenant, "completed", "completed", "failed")
    visitor = make_person(tenant)
    answer = visitor.get("/console/overview")
    columns = columns_of(answer)
    assert len(columns) == 61
    (told,) = [column for column in columns if "Completed" in column[1]]
    assert told[1].endswith("Completed 2, Discarded 1")
    assert len(rows_of(visitor.get(told[0]))) == 3
    assert {title.partition(": ")[2] for _href, title in columns} == {"Completed 2, Discarded 1", "nothing ended"}


def test_a_series_leads_to_its_jobs(tenant: Any) -> None:
    end_jobs(tenant, "completed", "completed", "failed")
    visitor = make_person(tenant)
    content = visitor.get("/console/overview").content.decode()
    legend = re.findall(r'class="chip" data-tone="(\w+)" href="([^"]+)"', content)
    counts = {tone: len(rows_of(visitor.get(unescape(href)))) for tone, href in legend}
    assert counts == {"completed": 2, "discarded": 1, "cancelled": 0}


def test_each_chart_has_a_table_with_the_same_numbers(tenant: Any) -> None:
    begin_within(60)
    end_jobs(tenant, "completed", "completed", "failed")
    visitor = make_person(tenant)
    plain = visitor.get("/console/overview?range=15m")
    assert table_rows(plain, "throughput-title") == []
    link = re.search(r'href="(/console/overview\?[^"]*tables=1)"', plain.content.decode())
    assert link is not None
    answer = visitor.get(unescape(link[1]))
    ended = [row[1:] for row in table_rows(answer, "throughput-title")]
    assert len(ended) == len(columns_of(answer)) == 16
    assert [row for row in ended if row != ["0", "0", "0"]] == [["2", "1", "0"]]
    waits = [row[1:] for row in table_rows(answer, "waits-title")]
    assert len([row for row in waits if row != ["\u2013", "\u2013"]]) == 1


@pytest.mark.parametrize(
    ("range_", "steps"), [("15m", 16), ("1h", 61), ("6h", 25), ("24h", 25), ("7d", 29), ("30d", 31), ("nonsense", 61)]
)
def test_the_time_is_in_the_address(tenant: Any, range_: str, steps: int) -> None:
    end_jobs(tenant, "completed")
    answer = make_person(tenant).get(f"/console/overview?range={range_}")
    content = answer.content.decode()
    assert steps - 1 <= len(columns_of(answer)) <= steps
    known = "" if range_ in ("1h", "nonsense") else f"?range={range_}"
    assert re.search(rf'href="/console/overview{re.escape(known)}" aria-current="page"', content)
    for name in ("figures", "board"):
        assert live_href(answer, name).endswith(f"{name}{known}")
    assert len(content) < 60_000


def test_times_are_of_the_zone_that_was_chosen_and_days_of_utc(tenant: Any) -> None:
    visitor = make_person(tenant)
    visitor.keep("console-zone", "browser:Asia/Kolkata")
    first = columns_of(visitor.get("/console/overview?range=24h"))[0]
    at = re.search(r"since:(\d{4}-\d\d-\d\dT\d\d:\d\d)", first[0])
    assert at is not None
    local = datetime.fromisoformat(f"{at[1]}Z").astimezone(ZoneInfo("Asia/Kolkata"))
    assert first[1].startswith(f"{local:%H:%M}: ")
    day = columns_of(visitor.get("/console/overview?range=30d"))[0]
    assert day[1].partition(": ")[0] in day[0]


def test_what_happened_before_the_time_is_not_in_it(tenant: Any) -> None:
    make_job(tenant, max_attempts=1)
    record(*[outcome_of(one) for one in start(claim())])
    run("UPDATE statistic_delta SET minute = minute - interval '40 minutes'")
    fold()
    visitor = make_person(tenant)
    assert figures_of(visitor.get("/console/overview?range=15m"))["Done a minute"] == "0"
    assert figures_of(visitor.get("/console/overview?range=1h"))["Done a minute"] == "0.016"


def test_the_types_that_fail_and_the_queues_that_wait_are_ranked(tenant: Any, other_tenant: Any) -> None:
    end_jobs(tenant, "completed", "failed")
    end_jobs(tenant, "failed", type="fail")
    end_jobs(other_tenant, "failed", type="fail")
    make_job(tenant, queue="mail")
    old = make_job(tenant, queue="reports")
    LiveJob.objects.filter(job_id=job_uuid(old)).update(due_at="2020-01-01T00:00:00Z")
    change_queue(tenant.id, "reports", {"paused": True})
    words = text_of(make_person(tenant).get("/console/overview"))
    assert "echo 1 50 %" in words
    assert "fail 1 100 %" in words
    assert re.search(r"reports Paused 1 \d+ d \d+ h mail 1", words)


def test_with_nothing_to_show_each_part_says_so(tenant: Any) -> None:
    words = text_of(make_person(tenant).get("/console/overview"))
    assert "No job has failed for good in this time." in words
    assert "No job waits for its turn." in words


def test_what_has_not_changed_is_not_sent_again(tenant: Any) -> None:
    end_jobs(tenant, "completed")
    visitor = make_person(tenant)
    page = visitor.get("/console/overview?range=30d")
    for name in ("figures", "board"):
        href = live_href(page, name)
        first = visitor.get(href)
        assert f'id="{name}"' in first.content.decode()
        assert visitor.get(href, If_None_Match=first["ETag"]).status_code == 304
        end_jobs(tenant, "completed")
        assert visitor.get(href, If_None_Match=first["ETag"]).status_code == 200
