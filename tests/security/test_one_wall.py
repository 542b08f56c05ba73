"""Two walls stand between tenants: filters in the code, and policies in the database. Here the second one is gone: the
first alone must answer another tenant's object as none. (The policies alone: `test_random_reads.py`.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from tests.factories import Tenant
from tests.roles import set_role
from tests.security import test_access_matrix as matrix

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bare_api")]


@pytest.fixture
def bare_api(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests run as the superuser, whom no policy binds."""
    monkeypatch.setattr("tests.conftest.as_role", _as_superuser)


@contextmanager
def _as_superuser(process: str) -> Iterator[None]:
    previous = settings.ENVIRONMENT
    set_role("owner")
    settings.ENVIRONMENT = replace(previous, process=process)
    try:
        yield
    finally:
        settings.ENVIRONMENT = previous


def test_no_policy_binds_these_requests(tenant: Tenant, other_tenant: Tenant) -> None:
    with _as_superuser("web"), connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT tenant_id) FROM data_key")
        assert cursor.fetchone() == (2,)


@pytest.mark.parametrize(("name", "parameter"), matrix.IN_PATH)
def test_another_tenants_object_is_answered_as_none_without_policies(
    api: Any, tenant: Tenant, other_tenant: Tenant, name: str, parameter: str
) -> None:
    matrix.test_another_tenants_object_is_answered_as_none(api, tenant, other_tenant, name, parameter)


@pytest.mark.parametrize(("name", "parameter"), matrix.IN_QUERY)
def test_another_tenants_id_in_a_parameter_is_answered_as_none_without_policies(
    api: Any, tenant: Tenant, other_tenant: Tenant, name: str, parameter: str
) -> None:
    matrix.test_another_tenants_id_in_a_parameter_is_answered_as_none(api, tenant, other_tenant, name, parameter)


@pytest.mark.parametrize(("name", "place"), matrix.IN_BODY)
def test_another_tenants_id_in_a_body_is_answered_as_none_without_policies(
    api: Any, tenant: Tenant, other_tenant: Tenant, name: str, place: int
) -> None:
    matrix.test_another_tenants_id_in_a_body_is_answered_as_none(api, tenant, other_tenant, name, place)


@pytest.mark.parametrize("name", matrix.TENANTS)
def test_lists_and_answers_hold_nothing_of_another_tenant_without_policies(
    api: Any, tenant: Tenant, other_tenant: Tenant, name: str
) -> None:
    matrix.test_lists_and_answers_hold_nothing_of_another_tenant(api, tenant, other_tenant, name)
