"""GET /v1/event-types."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from jobservice.jobs.event_examples import event_of
from jobservice.webhooks.event_types import EVENT_TYPES
from tests.api.keys import faults, make_key, problem

pytestmark = pytest.mark.django_db
PATH = "/v1/event-types"


def test_every_type_is_listed_with_a_schema_that_stands_alone(api: Any, tenant: Any) -> None:
    types = api.get(PATH, key=tenant.api_key).json()["data"]
    assert [one["name"] for one in types] == [*EVENT_TYPES, "webhook.test"]
    for one in types:
        assert one["description"].endswith(".")
        # With an own reader of references: whatever leads out of the schema is an error.
        validator = jsonschema_rs.Draft202012Validator(one["schema"], validate_formats=True)
        event = event_of(one["name"])
        assert validator.is_valid(event)
        assert not validator.is_valid({**event, "type": "job.other"})
        assert not validator.is_valid({**event, "data": {}})
        assert "components" not in str(one["schema"])


def test_it_needs_a_key_and_its_scope_and_takes_no_parameters(api: Any, tenant: Any) -> None:
    problem(api.get(PATH), 401, "unauthenticated")
    problem(api.get(PATH, key=make_key(tenant, "jobs:read")), 403, "insufficient-scope")
    assert faults(api.get(f"{PATH}?x=1", key=tenant.api_key)) == {("/x", "unknown-parameter")}
    assert api.get(PATH, key=make_key(tenant, "webhooks:write", queues=["a"])).status_code == 200
