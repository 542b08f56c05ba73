"""Usage: what is used of each quota, as the API reads it, and jobs by day."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest

from jobservice.jobs.usage_report import report_usage
from tenants.console.tenant_limits import read_quotas
from tenants.console.usage import NAMES
from tenants.models import Tenant as TenantRow
from tenants.quotas import DEFAULTS
from tests.console.test_jobs_page import live_href, rows_of
from tests.console.visiting import make_person
from tests.factories import make_job
from tests.jobs.folding import fold, run

pytestmark = pytest.mark.django_db


def limit(tenant: Any, **quotas: int | None) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas=quotas)


def rows(answer: Any) -> dict[str, list[str]]:
    """The cells of each quota, or day, by the first one."""
    found = re.findall(r"<tr>(.*?)</tr>", answer.content.decode(), re.DOTALL)
    cells = [[unescape(one).strip() for one in re.findall(r">([^<>]*[^<>\s][^<>]*)<", row)] for row in found]
    return {row[0]: row[1:] for row in cells}


def test_every_quota_has_its_words_and_its_numbers(tenant: Any, other_tenant: Any) -> None:
    make_job(other_tenant)
    make_job(tenant, queue="mail")
    make_job(tenant, queue="reports")
    limit(tenant, open_jobs=8, jobs_per_day=2, running=None)
    found = rows(make_person(tenant, "viewer").get("/console/usage"))
    assert found["Unfinished jobs"][1:] == ["2", "8", "25 %", "\u2013"]
    assert found["Jobs accepted today"][1:4] == ["2", "2", "100 %"]
    assert found["Jobs accepted today"][4].startswith("in ")
    assert found["Running at once"][1:] == ["0", "none", "\u2013", "\u2013"]
    assert found["Queues"][1:4] == ["2", "100", "2 %"]
    assert found["Size of one payload"][1:4] == ["\u2013", "1 MiB", "\u2013"]
    assert found["Stored"][2] == "10 GiB"


def test_what_is_shown_is_what_the_api_answers(tenant: Any) -> None:
    make_job(tenant)
    found = rows(make_person(tenant).get("/console/usage"))
    answered = report_usage(tenant.id, read_quotas(tenant.id))
    assert {str(NAMES[one["name"]][0]) for one in answered} == {str(word) for word, _help in NAMES.values()}
    assert set(NAMES) == set(DEFAULTS)
    for one in answered:
        if one["used"] is not None and not one["name"].endswith("bytes"):
            assert f"{one['used']:,}" in found[str(NAMES[one["name"]][0])]


@pytest.mark.parametrize(("used", "level"), [(1, "low"), (4, "high"), (5, "full")])
def test_a_quota_that_is_nearly_used_up_stands_out(tenant: Any, used: int, level: str) -> None:
    for _ in range(used):
        make_job(tenant)
    limit(tenant, open_jobs=5)
    content = make_person(tenant).get("/console/usage").content.decode()
    row = content.partition("Unfinished jobs")[2].partition("</tr>")[0]
    assert f'data-level="{level}"' in row


def test_days_are_counted_for_thirty_of_them_and_lead_to_their_jobs(tenant: Any, other_tenant: Any) -> None:
    for _ in range(3):
        make_job(tenant)
    make_job(other_tenant)
    fold()
    make_job(tenant)
    run("UPDATE statistic_delta SET minute = minute - interval '5 days'")
    fold()
    visitor = make_person(tenant)
    answer = visitor.get("/console/usage")
    found = {name: cells for name, cells in rows(answer).items() if re.fullmatch(r"\d{4}-\d\d-\d\d", name)}
    today = datetime.now(UTC).date()
    assert list(found) == [f"{today - timedelta(days=ago)}" for ago in range(30)]
    assert found[f"{today}"] == ["3", "0", "0", "0"]
    assert found[f"{today - timedelta(days=5)}"] == ["1", "0", "0", "0"]
    href = re.search(rf'href="([^"]+)">{today}<', answer.content.decode())
    assert href is not None
    assert len(rows_of(visitor.get(unescape(href[1])))) == 4


def test_the_chart_says_the_same_as_the_table(tenant: Any) -> None:
    make_job(tenant)
    fold()
    content = make_person(tenant).get("/console/usage").content.decode()
    titles = re.findall(r"<title>(\d{4}-\d\d-\d\d: [\d,]+)</title>", content)
    assert len(titles) == 30
    assert titles[-1].endswith(": 1")
    assert content.count('class="chart-bar"') == 1


def test_a_new_tenant_sees_zeros(tenant: Any) -> None:
    answer = make_person(tenant).get("/console/usage")
    assert rows(answer)["Unfinished jobs"][1:4] == ["0", "100,000", "0 %"]
    assert re.search(r'href="/console/usage" aria-current="page" data-jump="u"', answer.content.decode())


def test_what_has_not_changed_is_not_sent_again(tenant: Any) -> None:
    visitor = make_person(tenant)
    href = live_href(visitor.get("/console/usage"), "rows")
    first = visitor.get(href)
    assert visitor.get(href, If_None_Match=first["ETag"]).status_code == 304
    make_job(tenant)
    answer = visitor.get(href, If_None_Match=first["ETag"])
    assert (answer.status_code, rows(answer)["Unfinished jobs"][1]) == (200, "1")
