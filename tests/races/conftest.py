"""Races need real commits on real connections: these tests clean up after themselves instead of rolling back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from jobservice.jobs import store
from tests.committed_rows import remove_committed_rows
from tests.factories import Tenant, make_tenant
from tests.races.falling_asleep import FallingAsleep
from tests.roles import as_role, set_role


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database in which commits are real; every row of a tenant is removed at the end. No dispatcher listens."""
    monkeypatch.setattr(store, "wake_dispatcher", lambda: None)
    with django_db_blocker.unblock():
        yield
        remove_committed_rows()
        connections.close_all()


@pytest.fixture
def racing_tenant(committed: None) -> Tenant:
    return make_tenant()


Call = Callable[[], Any]


@pytest.fixture
def race(committed: None) -> Callable[..., list[Any]]:
    """`race(role, call, call, …)` runs the calls at once, each on a thread and connection of its own, as that role."""

    def run(role: str, *calls: Call) -> list[Any]:
        barrier = threading.Barrier(len(calls))

        def act(call: Call) -> Any:
            try:
                set_role(role)
                barrier.wait(timeout=30)
                return call()
            finally:
                connections.close_all()

        with as_role(role), ThreadPoolExecutor(len(calls)) as threads:
            return [future.result(timeout=100) for future in [threads.submit(act, call) for call in calls]]

    return run


@pytest.fixture
def falling_asleep(monkeypatch: pytest.MonkeyPatch) -> FallingAsleep:
    return FallingAsleep(monkeypatch)
