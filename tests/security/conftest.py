"""A web process for the tests of a module, a tenant whose rows are really committed, and objects to be named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from jobservice import ids
from jobservice.jobs import notifier
from jobservice.jobs.completion_token import RunRef, make_token
from tenants.api_keys import create_api_key
from tenants.context import tenant_tx
from tests.committed_rows import remove_committed_rows
from tests.factories import Tenant, make_job, make_tenant
from tests.jobs.dispatching import job_uuid
from tests.security.access_entries import BULK_ACTION, DELIVERY, ENDPOINT, ERROR_GROUP
from tests.security.web_server import WebServer, running_web


@pytest.fixture(scope="module")
def committing(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Commits are real, for the web process to see; every row of a tenant is removed at the end."""
    with django_db_blocker.unblock():
        yield
        remove_committed_rows()
        connections.close_all()


@pytest.fixture(scope="module")
def web(committing: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with running_web(tmp_path_factory.mktemp("web")) as server:
        yield server


@pytest.fixture(scope="module")
def web_tenant(committing: None) -> Tenant:
    return make_tenant()


@pytest.fixture
def values(api: Any, tenant: Tenant) -> dict[str, str]:
    """A value for each path parameter, of an object that exists. What a process loads once is loaded then."""
    api.post("/v1/jobs", {}, key=tenant.api_key)
    return make_values(tenant)


@pytest.fixture(scope="module")
def web_values(web_tenant: Tenant) -> dict[str, str]:
    """The same, of objects that the web process sees. Nobody is woken: the notifier would outlive the database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notifier, "_wake", lambda _channel: None)
        return make_values(web_tenant)


def make_values(tenant: Tenant) -> dict[str, str]:
    with tenant_tx(tenant.id):
        key_id, _ = create_api_key(tenant.id, name="spare", scopes=["jobs:read"])
    job = make_job(tenant)
    return {
        "job_id": job["id"],
        "token": make_token(RunRef(tenant.id, job_uuid(job), 1)),
        "name": "mine",
        "queue": job["queue"],
        "code": "internal",
        "key_id": ids.show_id(ids.API_KEY, key_id),
        "bulk_action_id": BULK_ACTION.make(tenant),
        "endpoint_id": ENDPOINT.make(tenant),
        "delivery_id": DELIVERY.make(tenant),
        "error_group_id": ERROR_GROUP.make(tenant),
    }
