"""Every verb on a job in every state, under its epoch and under an old one: the arrows of `states.py` and no other.

What is refused changes nothing at all and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobservice.jobs.claims import return_claims, stage_due_jobs
from jobservice.jobs.ending import End, end_jobs
from jobservice.jobs.expiry import expire_jobs
from jobservice.jobs.leases import release_jobs, renew_leases
from jobservice.jobs.models import Job, LiveJob
from jobservice.jobs.rescue import reap_leases
from jobservice.jobs.states import FINAL_STATES, LIVE_STATES, STATES, TRANSITIONS, sources_of
from jobservice.jobs.type_switch import resume_held_jobs
from jobservice.jobs.uniqueness import REPLACED, SOURCES
from jobservice.webhooks.models import Event
from tenants.context import tenant_tx
from tests.factories import Tenant
from tests.jobs.dispatching import WORKER, claim, outcome_of, record, start
from tests.jobs.lives import BECOMING, Life, everything, make_life, move_clock, undone
from tests.roles import as_role

pytestmark = pytest.mark.deep

DOCS = Path(__file__).resolve().parents[2] / "docs" / "jobs.md"
GONE = "gone"
RUNNING = [how for how, (state, _) in BECOMING.items() if state == "executing"]
SUSPENDED = ["suspended by crashes", "suspended with its type"]

Act = Callable[[Any, Life, int], bool]


@dataclass(frozen=True, slots=True)
class Case:
    """A verb with its circumstances: whether it says that it was done, and where it leads from which state."""

    verb: str
    act: Act
    leads: Mapping[str, str]
    has_epoch: bool = False


def _running(target: str, **others: str) -> dict[str, str]:
    """From any run to the target; but one that somebody asked to stop ends as cancelled."""
    leads = dict.fromkeys(RUNNING, target) | {"executing, asked to stop": "cancelled"}
    return leads | {f"executing, {how.replace('_', ' ')}": state for how, state in others.items()}


def _records(kind: Any, **fields: Any) -> Act:
    def act(_api: Any, life: Life, epoch: int) -> bool:
        outcome = outcome_of(life.run(epoch), kind, **fields)
        report = record(outcome)
        assert report.lost == (() if report.recorded else (outcome,))
        return report.recorded == 1

    return act


def _releases(reason: Any = None) -> Act:
    def act(_api: Any, life: Life, epoch: int) -> bool:
        with as_role("worker"):
            return release_jobs([life.ref(epoch)], worker_id=WORKER, hold_reason=reason) == 1

    return act


def _return(_api: Any, life: Life, epoch: int) -> bool:
    with as_role("dispatcher"):
        return return_claims([life.ref(epoch)]) == 1


def _replace(_api: Any, life: Life, epoch: int) -> bool:
    end = End(life.tenant.id, life.id, epoch, "cancelled", error_code=REPLACED)
    with as_role("web"), tenant_tx(life.tenant.id):
        return len(end_jobs([end], sources=SOURCES)) == 1


def _renew(_api: Any, life: Life, epoch: int) -> bool:
    with as_role("worker"):
        kept = renew_leases([life.ref(epoch)], worker_id=WORKER, lease_seconds=3600).kept
    assert kept in (set(), {(life.id, epoch)})
    return bool(kept)


def _reap(_api: Any, _life: Life, _epoch: int) -> bool:
    with as_role("dispatcher"):
        reaped = reap_leases()
    return reaped.returned + reaped.crashed + reaped.timed_out == 1


def _chore(chore: Callable[[], int]) -> Act:
    def act(_api: Any, _life: Life, _epoch: int) -> bool:
        with as_role("dispatcher"):
            return chore() == 1

    return act


def _asks(method: str, path: str, refusal: str, body: Any = None) -> Act:
    def act(api: Any, life: Life, _epoch: int) -> bool:
        answer = api.call(method, f"/v1/jobs/{life.job['id']}{path}", body, life.tenant.api_key, {})
        if answer.status_code >= 400:
            assert (answer.status_code, answer.json()["code"]) == (409, refusal)
        return bool(answer.status_code < 400)

    return act


_PUT_OFF = {"scheduled": "scheduled", "available": "scheduled", "retryable": "retryable"}
_MADE_DUE = dict.fromkeys(_PUT_OFF, "available")
_STAY = dict.fromkeys(SUSPENDED, "suspended")
_CRASH = {"crashed_twice": "suspended", "discarded_by_a_crash": "discarded"}
_FAILURE = {"the_last_try": "discarded"}

CASES: dict[str, Case] = {
    "claim": Case("claim", lambda _api, _life, _epoch: bool(claim()), {"available": "dispatched"}),
    "return": Case("return", _return, {"dispatched": "available"}, True),
    "start": Case("start", lambda _api, life, epoch: bool(start([life.ref(epoch)])), {"dispatched": "executing"}, True),
    "renew": Case("renew", _renew, dict.fromkeys(RUNNING, "executing"), True),
    "record completed": Case("record", _records("completed"), _running("completed"), True),
    "record failed": Case("record", _records("failed", error_code="no"), _running("retryable", **_FAILURE), True),
    "record permanent": Case("record", _records("failed", is_permanent=True), _running("discarded"), True),
    "record timed-out": Case("record", _records("timed-out"), _running("retryable", **_FAILURE), True),
    "record snoozed": Case("record", _records("snoozed", snooze_seconds=60), _running("scheduled"), True),
    "record cancelled": Case("record", _records("cancelled"), _running("cancelled"), True),
    "record crashed": Case("record", _records("crashed"), _running("available", **_CRASH), True),
    "release": Case("release", _releases(), _running("available"), True),
    "release and hold": Case("release", _releases("type-disabled"), _running("suspended"), True),
    "reap": Case("reap", _reap, {"dispatched": "available"} | _running("available", **_CRASH)),
    "stage": Case("stage", _chore(stage_due_jobs), {"scheduled": "available", "retryable": "available"}),
    "expire": Case("expire", _chore(expire_jobs), dict.fromkeys(("scheduled", "available", "dispatched"), "cancelled")),
    "cancel": Case(
        "cancel",
        _asks("POST", "/cancel", "job-terminal"),
        dict.fromkeys(("scheduled", "available", "dispatched", "retryable", *SUSPENDED), "cancelled")
        | dict.fromkeys(RUNNING, "executing"),
    ),
    "replace": Case(
        "replace",
        _replace,
        dict.fromkeys(("scheduled", "available", "dispatched", "retryable", *SUSPENDED), "cancelled"),
        has_epoch=True,
    ),
    "retry": Case(
        "retry",
        _asks("POST", "/retry", "job-not-terminal"),
        dict.fromkeys(("retryable", *SUSPENDED, *FINAL_STATES), "available"),
    ),
    "resume": Case("resume", _chore(resume_held_jobs), {"suspended with its type": "available"}),
    "put off": Case("change", _asks("PATCH", "", "job-not-waiting", {"delay_seconds": 7200}), _PUT_OFF | _STAY),
    "make due": Case("change", _asks("PATCH", "", "job-not-waiting", {"delay_seconds": 0}), _MADE_DUE | _STAY),
    "erase": Case("erase", _asks("DELETE", "", "job-not-terminal"), dict.fromkeys(FINAL_STATES, GONE)),
}
# A second wish to cancel is answered, and changes nothing.
ANSWERED_ONLY = {("cancel", "executing, asked to stop")}
TIMED = ("reap", "stage", "expire")
# An endpoint that was to complete later is waited for by no worker: see test_rescue.py.
ELSEWHERE = {("reap", "executing", "retryable")}


def state_of(life: Life) -> str | None:
    live = LiveJob.objects.filter(job_id=life.id).first()
    ended = Job.objects.filter(id=life.id).first()
    assert live is None or (ended is not None and ended.final_state is None)
    return live.state if live else ended.final_state if ended else GONE


@pytest.mark.django_db
@pytest.mark.parametrize("how", BECOMING)
def test_each_verb_leads_where_the_table_says_or_changes_nothing(api: Any, tenant: Tenant, how: str) -> None:
    life = make_life(tenant, how)
    as_made, numbers = everything(), _numbers(life)
    for name, case in CASES.items():
        with undone():
            before = as_made
            if name in TIMED:
                move_clock()
                before = everything()
            says = case.act(api, life, life.epoch)
            wanted = case.leads.get(how)
            if wanted is None:
                assert (says, everything()) == (False, before), f"{name} of a job that is {how}"
            else:
                assert (says, state_of(life)) == (True, wanted), f"{name} of a job that is {how}"
                assert (everything() == before) == ((name, how) in ANSWERED_ONLY), f"{name} of a job that is {how}"
                assert _ends(life) == _ends_wanted(how, wanted), f"{name} of a job that is {how}"
                assert wanted == GONE or _numbers(life) == _counted(numbers, name, how, wanted), f"{name}, {how}"


@pytest.mark.django_db
@pytest.mark.parametrize("how", BECOMING)
def test_nothing_is_written_under_an_old_epoch(api: Any, tenant: Tenant, how: str) -> None:
    life = make_life(tenant, how)
    before = everything()
    assert life.old.epoch < life.epoch
    for name, case in CASES.items():
        if case.has_epoch:
            for epoch in (life.old.epoch, life.epoch - 1, life.epoch + 1):
                assert not case.act(api, life, epoch), f"{name} of a job that is {how}"
    assert everything() == before


@pytest.mark.django_db
@pytest.mark.parametrize("how", RUNNING)
def test_another_worker_neither_renews_nor_gives_back(tenant: Tenant, how: str) -> None:
    life = make_life(tenant, how)
    before = everything()
    with as_role("worker"):
        assert renew_leases([life.ref(life.epoch)], worker_id=life.id, lease_seconds=3600).kept == set()
        assert release_jobs([life.ref(life.epoch)], worker_id=life.id) == 0
    assert everything() == before


@pytest.mark.django_db
@pytest.mark.parametrize("how", [how for how, (state, _) in BECOMING.items() if state in LIVE_STATES])
def test_what_is_not_due_yet_stays(tenant: Tenant, how: str) -> None:
    make_life(tenant, how)
    before = everything()
    with as_role("dispatcher"):
        assert (stage_due_jobs(), expire_jobs()) == (0, 0)
        reaped = reap_leases()
    assert (reaped.returned, reaped.crashed, reaped.timed_out) == (0, 0, 0)
    assert everything() == before


def test_the_cases_draw_every_arrow_and_no_other() -> None:
    drawn = {
        (case.verb, BECOMING[how][0], target)
        for case in CASES.values()
        for how, target in case.leads.items()
        if target not in (GONE, BECOMING[how][0])
    }
    arrows = {
        (verb, source, arrow.target)
        for arrow in TRANSITIONS
        for verb in arrow.verbs
        for source in arrow.sources
        if source != arrow.target
    }
    assert drawn | ELSEWHERE == arrows


def test_a_state_is_left_by_the_letters_of_its_arrows() -> None:
    """What the product's description says of each state."""
    left = {state: {arrow.letter for arrow in TRANSITIONS if state in arrow.sources} for state in STATES}
    wanted: dict[str, set[str]] = {
        "scheduled": {"a", "g", "m"},
        "available": {"b", "g", "m"},
        "dispatched": {"c", "h", "g"},
        "executing": {"d", "e", "f", "g", "i", "h", "j"},
        "retryable": {"a", "g", "l", "m"},
        "suspended": {"k", "g"},
        **{state: {"l"} for state in FINAL_STATES},
    }
    assert left == wanted
    assert sources_of("retry") == {"retryable", "suspended", *FINAL_STATES}


def test_the_pages_tell_every_arrow() -> None:
    rows = re.findall(r"^\| (\w) \| (.+?) → (\w+) \| (.+?) \|$", DOCS.read_text(), re.MULTILINE)
    told = [(letter, tuple(sources.split(", ")), target, when) for letter, sources, target, when in rows]
    assert told == [(arrow.letter, arrow.sources, arrow.target, arrow.when) for arrow in TRANSITIONS]
    diagram = DOCS.read_text().split("```")[1]
    assert {arrow.letter for arrow in TRANSITIONS} <= set(re.findall(r"\b([a-m])\b", diagram))


def _numbers(life: Life) -> tuple[int, int, int]:
    """The job's epoch, attempts and crashes."""
    row: Any = LiveJob.objects.filter(job_id=life.id).first() or Job.objects.filter(id=life.id).first()
    return (row.epoch, row.attempt, row.crash_count) if row else (0, 0, 0)


def _counted(before: tuple[int, int, int], name: str, how: str, target: str) -> tuple[int, int, int]:
    """What the verb makes of the numbers: who may still believe that he has the job is outdated by a new epoch."""
    epoch, attempt, crashes = before
    goes_on = target not in FINAL_STATES
    if name in ("claim", "return") or (name, how) == ("reap", "dispatched"):
        return epoch + 1, attempt, crashes
    if name == "start":
        return epoch, attempt + 1, crashes
    if name == "retry":
        return epoch + 1, attempt, 0
    if name in ("reap", "record crashed"):
        return epoch + goes_on, attempt, crashes + 1
    if name == "record snoozed":
        return epoch, attempt - goes_on, crashes
    if name in ("release", "release and hold"):
        return epoch + goes_on, attempt - goes_on, crashes
    return before


def _ends(life: Life) -> int:
    """How many ends of the job are told."""
    return Event.objects.filter(job_id=life.id, type__in=[f"job.{state}" for state in FINAL_STATES]).count()


def _ends_wanted(how: str, target: str) -> int:
    is_over = BECOMING[how][0] in FINAL_STATES
    return 0 if target == GONE else int(is_over) + int(target in FINAL_STATES and not is_over)
