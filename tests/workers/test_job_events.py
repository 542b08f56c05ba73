"""What the log tells of a job: each verb once, with the ids to follow it by, and nothing the tenant confided."""

from __future__ import annotations

import io
import json
import logging
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from jobservice import ids
from jobservice.celery import HANDLERS, app
from jobservice.crypto.message_mac import Ref, load_message_key
from jobservice.errors import Invalid
from jobservice.jobs import store
from jobservice.logs import configure_logs, log_event
from jobservice.webhooks.deliveries import start_deliveries
from jobservice.webhooks.delivery_claims import claim_deliveries
from jobservice.webhooks.delivery_records import DeliveryResult, record_deliveries
from tests.api.keys import problem
from tests.factories import Tenant
from tests.jobs.dispatching import WORKER, claim, outcome_of, record, start
from tests.roles import as_role
from workers.publisher import RUN_JOBS, Publisher

# The seven verbs of a job, and the event that tells each; sealing and storing are one transaction with accepting.
VERBS = {
    "accept, seal, store": "job_accepted",
    "dispatch": "job_claimed",
    "execute": "job_started",
    "record": "run_recorded",
    "call back": "delivery_recorded",
}

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """The log as the operator of a production system has it: JSON, here with every level."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs(format="json", level="DEBUG")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits have their effect at once, inside the request as they do for real; nobody wakes the dispatcher."""
    monkeypatch.setattr(transaction, "on_commit", lambda act: act())
    monkeypatch.setattr(store, "wake_dispatcher", lambda: None)


def live(api: Any, tenant: Tenant, *, delivery: str = "delivered", **outcome: Any) -> str:
    """A job from its submission to its callback, verb by verb; its id."""
    body = {"type": "echo", "payload": outcome.pop("payload", 1), "callback_url": "http://127.0.0.1:9/done"}
    answer = api.post("/v1/jobs", {**body, **outcome.pop("fields", {})}, key=tenant.api_key, X_Request_Id="req-7")
    assert answer.status_code == 201, answer.content
    (started,) = start(claim())
    record(outcome_of(started, **outcome))
    with as_role("dispatcher"):
        refs = claim_deliveries(10, lease_seconds=30)
    with as_role("worker"):
        start_deliveries(refs, worker_id=WORKER, lease_seconds=30)
        final: Any = None if delivery == "retried" else delivery
        results = [DeliveryResult(ref, 12, status=200, final_state=final, delay_seconds=60) for ref in refs]
        record_deliveries(results)
    return str(answer.json()["id"])


@pytest.mark.django_db
@pytest.mark.usefixtures("committed")
def test_each_verb_of_a_job_is_one_event_with_its_ids(api: Any, tenant: Tenant, lines: Lines) -> None:
    job_id = live(api, tenant)
    mine = [line for line in lines() if line.get("job_id") == job_id]
    assert Counter(line["event"] for line in mine) == Counter([*VERBS.values(), "job_ended"])
    assert {line["tenant_id"] for line in mine} == {ids.show_id(ids.TENANT, tenant.id)}
    by_name = {line["event"]: line for line in mine}
    assert by_name["job_accepted"]["request_id"] == "req-7"
    assert by_name["job_started"]["wait_ms"] >= 0
    assert (
        by_name["job_ended"] | {"outcome": "completed", "state": "completed", "executor": "handler"}
        == by_name["job_ended"]
    )
    assert by_name["delivery_recorded"]["delivery_id"].startswith("dlv_")
    assert by_name["delivery_recorded"]["latency_ms"] >= 0


@pytest.mark.django_db
@pytest.mark.usefixtures("committed")
def test_a_job_is_three_lines_at_info(api: Any, tenant: Tenant, lines: Lines) -> None:
    live(api, tenant)
    told = [line["event"] for line in lines() if line["level"] != "debug"]
    assert told == ["job_accepted", "request_answered", "job_ended"]


@pytest.mark.django_db
@pytest.mark.usefixtures("committed")
def test_a_run_that_is_tried_again_is_no_end(api: Any, tenant: Tenant, lines: Lines) -> None:
    job_id = live(api, tenant, kind="failed", error_code="handler-error")
    (run,) = [line for line in lines() if line["event"] == "run_recorded"]
    assert (run["job_id"], run["outcome"], run["state"], run["code"]) == (
        job_id,
        "failed",
        "retryable",
        "handler-error",
    )
    assert "job_ended" not in [line["event"] for line in lines()]


@pytest.mark.django_db
@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(("delivery", "level"), [("delivered", "debug"), ("retried", "debug"), ("failed", "info")])
def test_only_a_callback_that_nobody_took_is_told_at_info(
    api: Any, tenant: Tenant, lines: Lines, delivery: str, level: str
) -> None:
    live(api, tenant, delivery=delivery)
    (line,) = [line for line in lines() if line["event"] == "delivery_recorded"]
    assert (line["outcome"], line["level"]) == (delivery, level)
    assert (line["latency_ms"] is not None) == (delivery == "delivered")


@pytest.mark.django_db
@pytest.mark.usefixtures("committed")
def test_what_the_tenant_confided_is_in_no_line(api: Any, tenant: Tenant, lines: Lines) -> None:
    canary = f"canary{secrets.token_hex(8)}"
    fields = {
        "metadata": {canary: canary},
        "tags": {"t": canary},
        "callback_url": f"http://127.0.0.1:9/{canary}",
        "queue": canary,
    }
    live(api, tenant, payload=canary, fields=fields, result=json.dumps(canary).encode())
    live(api, tenant, payload=canary, kind="failed", error_message=canary, is_permanent=True)
    problem(
        api.post("/v1/jobs", {"type": canary, "callback_url": f"http://u:{canary}@x/"}, key=tenant.api_key),
        422,
        "egress-refused",
    )
    text = json.dumps(lines())
    assert text.count("job_ended") == 2
    assert canary not in text
    assert tenant.api_key not in text


def test_an_event_takes_no_field_that_is_not_on_the_list(lines: Lines) -> None:
    log_event("job_accepted", payload="canary", detail="canary", error="canary", executor="handler")
    (line,) = lines()
    assert set(line) == {"event", "level", "timestamp", "executor"}


def test_a_librarys_error_is_told_by_its_class_only(lines: Lines) -> None:
    try:
        raise Invalid([])
    except Invalid:
        logging.getLogger("django.db").exception("it broke")
    (line,) = lines()
    assert line["error_class"] == "Invalid"
    assert "Traceback" not in json.dumps(line)


def test_ids_are_written_as_people_see_them(lines: Lines) -> None:
    value = ids.new_id()
    log_event("x", tenant_id=value, job_id=value, event_id=value, delivery_id=value, worker_id=value, count=3)
    (line,) = lines()
    assert [line[name].split("_")[0] for name in ("tenant_id", "job_id", "event_id", "delivery_id")] == [
        "tnt",
        "job",
        "evt",
        "dlv",
    ]
    assert line["worker_id"] == str(value)
    assert line["count"] == 3


def test_a_message_says_whose_pool_it_is_for_and_no_more(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(app, "send_task", lambda *_, **__: None)
    publisher = Publisher(app, load_message_key(settings.ENVIRONMENT.message_key_file))
    publisher.publish(RUN_JOBS, [Ref(ids.new_id(), ids.new_id(), 1)], queue=HANDLERS)
    told = [line for line in lines() if line["event"] == "message_published"]
    assert [(line["pool"], line["count"], set(line)) for line in told] == [
        ("handlers", 1, {"event", "level", "timestamp", "pool", "count"})
    ]
