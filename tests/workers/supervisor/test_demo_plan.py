"""What `make run` adds over a database of its own, for a person who tries the service, and over no other one."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from jobservice import env
from workers.supervisor.demo_fill import RESUMED_SECONDS, is_fill_wanted
from workers.supervisor.demo_jobs import QUEUES, TYPES, demo_jobs
from workers.supervisor.first_tenant import keep_first_link, link_path, make_first_tenant, mark_path, read_first_link
from workers.supervisor.plan import DEMO_HANDLERS, child_environment


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if re.fullmatch(r"(PORT|DATABASE_URL|BROKER_URL|JOBSERVICE_\w+)(_FILE)?", name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("JOBSERVICE_DATA_DIR", str(tmp_path))


def seen(role: str = "web") -> tuple[str | None, str | None]:
    variables = child_environment(env.load(), role=role)
    return variables.get("JOBSERVICE_DEV_INBOX"), variables.get("JOBSERVICE_HANDLERS")


@pytest.mark.parametrize("role", ["owner", "web", "worker", "dispatcher"])
def test_over_its_own_database_every_process_knows_the_inbox_and_the_handler(role: str) -> None:
    assert seen(role) == ("on", DEMO_HANDLERS)


@pytest.mark.parametrize("variable", env.DATABASE_URLS.values())
def test_over_another_database_there_is_neither_and_the_inbox_cannot_be_switched_on(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "postgresql://u:secret@db.example/jobs")
    assert seen() == (None, None)
    monkeypatch.setenv("JOBSERVICE_DEV_INBOX", "on")
    with pytest.raises(env.ConfigurationError, match=r"^JOBSERVICE_DEV_INBOX: .* its own database only") as refused:
        env.load()
    assert "secret" not in str(refused.value)


def test_the_inbox_can_be_switched_off_and_the_operators_handlers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSERVICE_DEV_INBOX", "off")
    monkeypatch.setenv("JOBSERVICE_HANDLERS", "acme.handlers")
    assert seen() == ("off", f"acme.handlers,{DEMO_HANDLERS}")


def test_where_our_own_address_is_no_allowed_host_nothing_could_call_the_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSERVICE_ALLOWED_HOSTS", "jobs.example.com")
    assert seen()[0] is None


def test_behind_a_name_there_is_no_inbox_for_it_is_called_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSERVICE_HOST", "jobs.example")
    assert seen()[0] is None
    monkeypatch.setenv("JOBSERVICE_HOST", "localhost")
    assert seen()[0] == "on"


def test_a_fill_is_wanted_from_the_making_of_the_tenant_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = env.load()
    assert not is_fill_wanted(environment)
    make_first_tenant(environment, make=lambda _: "key", invite=lambda *_: "link", fills=True)
    assert is_fill_wanted(environment)
    then = time.time() - RESUMED_SECONDS - 1
    os.utime(mark_path(environment), (then, then))
    assert not is_fill_wanted(environment), "the idempotency keys may be over"
    assert not mark_path(environment).exists()
    make_first_tenant(environment, make=lambda _: "key", invite=lambda *_: "link", fills=True)
    monkeypatch.setenv("JOBSERVICE_DEMO", "off")
    assert not is_fill_wanted(env.load())
    assert not mark_path(environment).exists()


def test_the_link_is_kept_good_until_its_owner_is_in() -> None:
    environment = env.load()
    keep_first_link(environment, renew=lambda *_: "never asked")
    assert not link_path(environment).exists()
    make_first_tenant(environment, make=lambda _: "key", invite=lambda *_: "first")
    keep_first_link(environment, renew=lambda _, link: f"{link} renewed")
    assert read_first_link(environment) == "first renewed"
    assert link_path(environment).stat().st_mode & 0o777 == 0o600
    keep_first_link(environment, renew=lambda *_: None)
    assert not link_path(environment).exists()


def test_every_job_of_the_demo_has_a_type_and_every_queue_some_type() -> None:
    jobs = list(demo_jobs())
    assert {job["type"] for job in jobs} == set(TYPES)
    assert {defaults.get("queue") for defaults in TYPES.values()} - {None} == set(QUEUES)
    assert 40 <= len(jobs) <= 80
