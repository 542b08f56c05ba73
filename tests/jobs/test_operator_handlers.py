"""What the operator's handlers say of themselves, read at the start of the web."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobservice.env import ConfigurationError
from jobservice.handlers import handler, registry
from jobservice.jobs import operator_handlers
from jobservice.jobs.models import Job
from jobservice.jobs.operator_handlers import handler_defaults, handler_schema, load_operator_handlers
from tests.factories import Tenant, make_job
from tests.jobs.dispatching import job_uuid


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))
    operator_handlers.installed_handlers.cache_clear()
    yield
    operator_handlers.installed_handlers.cache_clear()


def test_a_handler_brings_defaults_and_a_schema() -> None:
    handler("trial.count", timeout_seconds=5, payload_schema=False)(lambda payload, job: None)
    load_operator_handlers()
    assert handler_defaults("trial.count") == {"timeout_seconds": 5}
    assert handler_schema("trial.count") is False
    assert handler_schema("echo") is None


@pytest.mark.django_db
def test_a_jobs_own_word_comes_before_its_handlers_and_both_before_the_services(tenant: Tenant) -> None:
    handler("trial.count", queue="slow", priority=7, max_attempts=3, retry={"strategy": "fixed", "initial_seconds": 9})(
        lambda payload, job: None
    )
    load_operator_handlers()
    job = make_job(tenant, type="trial.count", priority=2, retry={"initial_seconds": 4})
    assert (job["queue"], job["priority"], job["max_attempts"]) == ("slow", 2, 3)
    row = Job.objects.get(id=job_uuid(job))
    assert row.retry == {"strategy": "fixed", "initial_seconds": 4}
    assert row.timeout_seconds == 60


@pytest.mark.parametrize(
    ("retry", "place"),
    [({"strategy": "never"}, "/retry/strategy"), ({"initial": 5}, "/retry/initial"), (7, "/retry")],
)
def test_a_bad_default_stops_the_start_and_names_the_handler(retry: Any, place: str) -> None:
    handler("trial.count", retry=retry)(lambda payload, job: None)
    with pytest.raises(ConfigurationError) as caught:
        load_operator_handlers()
    assert str(caught.value).startswith(f"The handler trial.count has a default that cannot be used: {place}: ")


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "strin"}, "/type: "),
        ({"items": {"$ref": "file:///etc/passwd"}}, "/items/$ref: "),
        ([], ""),
        ({"const": object()}, ""),
    ],
)
def test_a_bad_schema_stops_the_start_and_names_the_handler(schema: Any, place: str) -> None:
    handler("trial.count", payload_schema=schema)(lambda payload, job: None)
    with pytest.raises(ConfigurationError) as caught:
        load_operator_handlers()
    assert str(caught.value).startswith(f"The payload_schema of the handler trial.count cannot be used: {place}")
