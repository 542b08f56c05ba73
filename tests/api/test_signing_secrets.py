"""GET /v1/signing-secrets/default and POST …/rotate."""

from __future__ import annotations

import os
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobservice import ids
from jobservice.webhooks.signing import public_key
from tenants.context import tenants_tx
from tenants.data_keys import seal_column
from tenants.models import SigningSecret
from tenants.signing_secrets import signing_secrets
from tests.api.keys import faults, make_key, problem
from tests.roles import as_role

pytestmark = pytest.mark.django_db
PATH = "/v1/signing-secrets/default"


def test_the_secret_is_shown_to_a_key_of_its_scope(api: Any, tenant: Any, other_tenant: Any) -> None:
    answer = api.get(PATH, key=make_key(tenant, "webhooks:write"))
    assert answer.status_code == 200
    assert answer.json()["secret"].startswith("whsec_")
    assert answer.json() == {
        "secret": answer.json()["secret"],
        "public_key": public_key(answer.json()["secret"]),
        "previous_valid_until": None,
    }
    assert api.get(PATH, key=tenant.api_key).json() == answer.json()
    assert api.get(PATH, key=other_tenant.api_key).json()["secret"] != answer.json()["secret"]


def test_a_secret_rotated_out_is_named_by_its_end_only(api: Any, tenant: Any) -> None:
    before = api.get(PATH, key=tenant.api_key).json()["secret"]
    row_id, until = ids.new_id(), timezone.now() + timedelta(hours=1)
    sealed = seal_column(
        tenant.id,
        table="signing_secret",
        column="sealed",
        row_id=row_id,
        plaintext=b"whsec_" + b64encode(os.urandom(24)),
    )
    SigningSecret.objects.create(id=row_id, tenant_id=tenant.id, sealed=sealed, valid_until=until)
    answer = api.get(PATH, key=tenant.api_key).json()
    assert answer["secret"] == before
    assert answer["previous_valid_until"].startswith(until.isoformat()[:19])


def test_it_needs_a_key_its_scope_and_every_queue_and_takes_no_parameters(api: Any, tenant: Any) -> None:
    problem(api.get(PATH), 401, "unauthenticated")
    problem(api.get(PATH, key=make_key(tenant, "jobs:read")), 403, "insufficient-scope")
    problem(api.get(PATH, key=make_key(tenant, "webhooks:write", queues=["a"])), 403, "forbidden")
    assert faults(api.get(f"{PATH}?x=1", key=tenant.api_key)) == {("/x", "unknown-parameter")}


def test_a_rotation_makes_a_new_secret_beside_which_the_old_one_signs_for_a_day(
    api: Any, tenant: Any, other_tenant: Any
) -> None:
    before, foreign = (api.get(PATH, key=one.api_key).json() for one in (tenant, other_tenant))
    key = make_key(tenant, "webhooks:write")
    answer = api.post(f"{PATH}/rotate", key=key)
    assert answer.status_code == 200
    rotated = answer.json()
    assert rotated["secret"] != before["secret"]
    assert rotated["public_key"] not in (None, before["public_key"])
    until = datetime.fromisoformat(rotated["previous_valid_until"])
    assert abs(until - timezone.now() - timedelta(days=1)) < timedelta(minutes=1)
    assert api.get(PATH, key=key).json() == rotated
    assert api.get(PATH, key=other_tenant.api_key).json() == foreign
    with as_role("worker"), tenants_tx([tenant.id]):
        assert signing_secrets(tenant.id) == [rotated["secret"], before["secret"]]


def test_without_an_overlap_the_old_secret_is_over_at_once(api: Any, tenant: Any) -> None:
    rotated = api.post(f"{PATH}/rotate", {"overlap_seconds": 0}, key=tenant.api_key).json()
    assert rotated["previous_valid_until"] is None
    with as_role("worker"), tenants_tx([tenant.id]):
        assert signing_secrets(tenant.id) == [rotated["secret"]]


def test_a_rotation_needs_a_key_its_scope_and_every_queue(api: Any, tenant: Any) -> None:
    problem(api.post(f"{PATH}/rotate", {}), 401, "unauthenticated")
    problem(api.post(f"{PATH}/rotate", {}, key=make_key(tenant, "jobs:write")), 403, "insufficient-scope")
    limited = make_key(tenant, "webhooks:write", queues=["a"])
    problem(api.post(f"{PATH}/rotate", {}, key=limited), 403, "forbidden")
    assert faults(api.post(f"{PATH}/rotate?x=1", {}, key=tenant.api_key)) == {("/x", "unknown-parameter")}
    assert SigningSecret.objects.filter(tenant_id=tenant.id).count() == 1
