"""GET /v1/signing-secrets/default."""

from __future__ import annotations

import os
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobservice import ids
from tenants.data_keys import seal_column
from tenants.models import SigningSecret
from tests.api.keys import faults, make_key, problem

pytestmark = pytest.mark.django_db
PATH = "/v1/signing-secrets/default"


def test_the_secret_is_shown_to_a_key_of_its_scope(api: Any, tenant: Any, other_tenant: Any) -> None:
    answer = api.get(PATH, key=make_key(tenant, "webhooks:write"))
    assert answer.status_code == 200
    assert answer.json()["secret"].startswith("whsec_")
    assert answer.json() == {
        "secret": answer.json()["secret"],
        "public_key": None,
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


def test_it_needs_a_key_and_its_scope_and_takes_no_parameters(api: Any, tenant: Any) -> None:
    problem(api.get(PATH), 401, "unauthenticated")
    problem(api.get(PATH, key=make_key(tenant, "jobs:read")), 403, "insufficient-scope")
    assert faults(api.get(f"{PATH}?x=1", key=tenant.api_key)) == {("/x", "unknown-parameter")}
