"""GET and POST /v1/api-keys, GET and DELETE /v1/api-keys/{id}, POST /v1/api-keys/{id}/rotate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobservice import ids
from tenants import api_key_changes
from tenants.api_keys import SCOPES, create_api_key
from tenants.context import tenant_tx
from tenants.models import ApiKey
from tenants.models import Tenant as TenantRow
from tests.api.keys import faults, make_key, problem
from tests.factories import Tenant

pytestmark = pytest.mark.django_db
PAST = "2020-01-01T00:00:00Z"
READ = {"name": "reads jobs", "scopes": ["jobs:read"]}


def make(api: Any, tenant: Tenant, **fields: Any) -> Any:
    answer = api.post("/v1/api-keys", {**READ, **fields}, key=tenant.api_key)
    assert answer.status_code == 201, answer.content
    return answer.json()


def works(api: Any, key: str) -> bool:
    status = api.get("/v1/jobs", key=key).status_code
    assert status in (200, 401)
    return bool(status == 200)


def key_id_of(text: str) -> str:
    return ids.show_id(ids.API_KEY, ApiKey.objects.get(lookup_id=text.split("_")[2]).id)


def test_a_key_is_made_and_shown_whole_once(api: Any, tenant: Any) -> None:
    expires_at = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    body = {**READ, "queues": ["mail"], "cidrs": ["127.0.0.1", "10.0.0.0/8"], "expires_at": expires_at}
    answer = api.post("/v1/api-keys", body, key=tenant.api_key)
    assert answer.status_code == 201
    made = answer.json()
    text = made.pop("key")
    assert answer.headers["Location"] == f"/v1/api-keys/{made['id']}"
    assert text.startswith(made["prefix"] + "_")
    assert made.pop("created_at").endswith("Z")
    assert made == {
        "id": made["id"],
        "name": "reads jobs",
        "prefix": made["prefix"],
        "scopes": ["jobs:read"],
        "queues": ["mail"],
        "cidrs": ["127.0.0.1/32", "10.0.0.0/8"],
        "expires_at": expires_at,
        "last_used_at": None,
        "rotated_at": None,
        "previous_valid_until": None,
        "revoked_at": None,
    }
    assert works(api, text)
    for path in ("/v1/api-keys", answer.headers["Location"]):
        shown = api.get(path, key=tenant.api_key)
        assert shown.status_code == 200
        assert text not in shown.content.decode()
        assert text.split("_")[3][:43] not in shown.content.decode()


def test_keys_are_listed_newest_first_and_in_pages(api: Any, tenant: Any, other_tenant: Any) -> None:
    made = [make(api, tenant, name=f"k{number}")["id"] for number in range(3)]
    make(api, other_tenant)
    listed = [key["id"] for key in api.get("/v1/api-keys", key=tenant.api_key).json()["data"]]
    assert listed == [*made[::-1], key_id_of(tenant.api_key)]
    page = api.get("/v1/api-keys?limit=3", key=tenant.api_key).json()
    rest = api.get(f"/v1/api-keys?limit=3&cursor={page['next_cursor']}", key=tenant.api_key).json()
    assert [key["id"] for key in page["data"] + rest["data"]] == listed
    assert rest["next_cursor"] is None
    foreign = api.get(f"/v1/api-keys?cursor={page['next_cursor']}", key=other_tenant.api_key)
    assert faults(foreign) == {("/cursor", "bad-cursor")}


def test_one_key_is_read_as_the_list_shows_it(api: Any, tenant: Any) -> None:
    made = make(api, tenant)
    read = api.get(f"/v1/api-keys/{made['id']}", key=tenant.api_key).json()
    assert read == {name: value for name, value in made.items() if name != "key"}


@pytest.mark.parametrize("text", ["x", "key_", "job_01h455vb4pex5vsknk084sn02q", "key_%00", "%C3%28"])
def test_what_is_no_id_is_not_found(api: Any, tenant: Any, text: str) -> None:
    problem(api.get(f"/v1/api-keys/{text}", key=tenant.api_key), 404, "not-found")
    problem(api.delete(f"/v1/api-keys/{text}", key=tenant.api_key), 404, "not-found")
    problem(api.post(f"/v1/api-keys/{text}/rotate", {}, key=tenant.api_key), 404, "not-found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {("/name", "required"), ("/scopes", "required")}),
        ([], {("", "wrong-type")}),
        ({**READ, "name": 1}, {("/name", "wrong-type")}),
        ({**READ, "name": ""}, {("/name", "bad-format")}),
        ({**READ, "name": "a\nb"}, {("/name", "bad-format")}),
        ({**READ, "name": "a\x00"}, {("/name", "bad-format")}),
        ({**READ, "name": "a" * 101}, {("/name", "too-long")}),
        ({**READ, "scopes": []}, {("/scopes", "out-of-range")}),
        ({**READ, "scopes": "jobs:read"}, {("/scopes", "wrong-type")}),
        ({**READ, "scopes": ["jobs:fly", 1]}, {("/scopes/0", "out-of-range"), ("/scopes/1", "wrong-type")}),
        ({**READ, "scopes": ["jobs:read"] * 11}, {("/scopes", "too-long")}),
        ({**READ, "queues": []}, {("/queues", "out-of-range")}),
        ({**READ, "queues": ["ok", "Not Ok"]}, {("/queues/1", "bad-format")}),
        ({**READ, "queues": ["q"] * 101}, {("/queues", "too-long")}),
        ({**READ, "cidrs": ["10.0.0.1/8"]}, {("/cidrs/0", "bad-format")}),
        ({**READ, "cidrs": ["here", "::ffff:10.0.0.0/104", None]}, {(f"/cidrs/{n}", c) for n, c in enumerate(
            ["bad-format", "bad-format", "wrong-type"])}),
        ({**READ, "expires_at": "tomorrow"}, {("/expires_at", "bad-format")}),
        ({**READ, "expires_at": PAST}, {("/expires_at", "out-of-range")}),
        ({**READ, "admin": True}, {("/admin", "unknown-field")}),
    ],
)  # fmt: skip
def test_invalid_bodies_are_refused_and_make_nothing(
    api: Any, tenant: Any, body: Any, expected: set[tuple[str, str]]
) -> None:
    assert faults(api.post("/v1/api-keys", body, key=tenant.api_key)) == expected
    assert ApiKey.objects.filter(tenant_id=tenant.id).count() == 1


def limited(tenant: Tenant, **limits: Any) -> str:
    with tenant_tx(tenant.id):
        return create_api_key(tenant.id, name="limited", scopes=limits.pop("scopes", SCOPES), **limits)[1]


SOON, LATER = (datetime.now(UTC) + timedelta(days=days) for days in (1, 2))


@pytest.mark.parametrize(
    ("limits", "inside", "outside"),
    [
        (
            {"scopes": ["keys:write", "jobs:read"]},
            [{}, {"scopes": ["keys:write", "jobs:read"]}],
            [{"scopes": ["jobs:read", "jobs:write"]}, {"scopes": ["payloads:read"]}],
        ),
        (
            {"queues": ["mail", "sms"]},
            [{"queues": ["mail"]}, {"queues": ["sms", "mail"]}],
            [{}, {"queues": ["mail", "other"]}],
        ),
        (
            {"cidrs": ["127.0.0.0/9", "127.128.0.0/9", "2001:db8::/32"]},
            [{"cidrs": ["127.0.0.0/8"]}, {"cidrs": ["2001:db8:1::/48", "127.1.2.3"]}],
            [{}, {"cidrs": ["126.0.0.0/7"]}, {"cidrs": ["127.0.0.1", "::/0"]}],
        ),
        (
            {"expires_at": SOON},
            [{"expires_at": SOON.isoformat()}],
            [{}, {"expires_at": LATER.isoformat()}],
        ),
    ],
)
def test_a_key_makes_only_keys_within_its_own_rights(
    api: Any, tenant: Any, limits: Any, inside: list[Any], outside: list[Any]
) -> None:
    key = limited(tenant, **limits)
    for fields in inside:
        assert api.post("/v1/api-keys", {**READ, **fields}, key=key).status_code == 201
    before = ApiKey.objects.count()
    for fields in outside:
        problem(api.post("/v1/api-keys", {**READ, **fields}, key=key), 403, "forbidden")
    assert ApiKey.objects.count() == before


@pytest.mark.parametrize(
    "limits",
    [
        {"scopes": ["keys:write", "jobs:read"]},
        {"queues": ["mail"]},
        {"cidrs": ["127.0.0.0/8"]},
        {"expires_at": SOON},
    ],
)
def test_a_key_rotates_only_keys_within_its_own_rights_for_it_gets_their_text(
    api: Any, tenant: Any, limits: Any
) -> None:
    key, wide = limited(tenant, **limits), key_id_of(tenant.api_key)
    problem(api.post(f"/v1/api-keys/{wide}/rotate", {}, key=key), 403, "forbidden")
    assert works(api, tenant.api_key)
    assert api.post(f"/v1/api-keys/{key_id_of(key)}/rotate", {}, key=key).status_code == 200


def test_a_key_revokes_only_keys_whose_scopes_it_has(api: Any, tenant: Any) -> None:
    weak = limited(tenant, scopes=["keys:write", "jobs:read"])
    problem(api.delete(f"/v1/api-keys/{key_id_of(tenant.api_key)}", key=weak), 403, "forbidden")
    assert works(api, tenant.api_key)
    # A leaked key that can do more in other respects is within reach.
    passing = limited(tenant, queues=["mail"], cidrs=["127.0.0.1/32"], expires_at=SOON)
    assert api.delete(f"/v1/api-keys/{key_id_of(tenant.api_key)}", key=passing).status_code == 204


def test_a_revoked_key_is_over_at_once_and_stays_in_the_list(api: Any, tenant: Any) -> None:
    made = make(api, tenant)
    assert works(api, made["key"])
    for _ in range(2):
        answer = api.delete(f"/v1/api-keys/{made['id']}", key=tenant.api_key)
        assert (answer.status_code, answer.content) == (204, b"")
        assert not works(api, made["key"])
    shown = api.get(f"/v1/api-keys/{made['id']}", key=tenant.api_key).json()
    assert shown["revoked_at"] is not None
    problem(api.post(f"/v1/api-keys/{made['id']}/rotate", {}, key=tenant.api_key), 409, "conflict")


def test_a_key_may_end_itself(api: Any, tenant: Any) -> None:
    assert api.delete(f"/v1/api-keys/{key_id_of(tenant.api_key)}", key=tenant.api_key).status_code == 204
    problem(api.get("/v1/api-keys", key=tenant.api_key), 401, "unauthenticated")


def test_a_rotated_key_has_a_new_text_and_the_old_one_is_over(api: Any, tenant: Any) -> None:
    made = make(api, tenant, queues=["mail"])
    answer = api.post(f"/v1/api-keys/{made['id']}/rotate", key=tenant.api_key)
    assert answer.status_code == 200
    rotated = answer.json()
    assert rotated["key"] != made["key"]
    assert (rotated["id"], rotated["prefix"], rotated["queues"]) == (made["id"], made["prefix"], ["mail"])
    assert rotated["rotated_at"] is not None
    assert rotated["previous_valid_until"] is None
    assert works(api, rotated["key"])
    assert not works(api, made["key"])


def test_during_the_overlap_both_texts_work_and_after_it_the_new_one(api: Any, tenant: Any) -> None:
    made = make(api, tenant)
    path = f"/v1/api-keys/{made['id']}/rotate"
    second = api.post(path, {"overlap_seconds": 3600}, key=tenant.api_key).json()
    until = datetime.fromisoformat(second["previous_valid_until"])
    assert timedelta(minutes=55) < until - datetime.now(UTC) <= timedelta(hours=1)
    assert works(api, made["key"])
    assert works(api, second["key"])
    third = api.post(path, {"overlap_seconds": 3600}, key=tenant.api_key).json()
    assert [works(api, text) for text in (made["key"], second["key"], third["key"])] == [False, True, True]
    ApiKey.objects.filter(previous_valid_until__isnull=False).update(previous_valid_until=PAST)
    assert [works(api, text) for text in (second["key"], third["key"])] == [False, True]


def test_a_revocation_ends_the_overlap_too(api: Any, tenant: Any) -> None:
    made = make(api, tenant)
    api.post(f"/v1/api-keys/{made['id']}/rotate", {"overlap_seconds": 3600}, key=tenant.api_key)
    api.delete(f"/v1/api-keys/{made['id']}", key=tenant.api_key)
    assert not works(api, made["key"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"overlap_seconds": 604_801}, {("/overlap_seconds", "out-of-range")}),
        ({"overlap_seconds": -1}, {("/overlap_seconds", "out-of-range")}),
        ({"overlap_seconds": "1"}, {("/overlap_seconds", "wrong-type")}),
        ({"overlap": 1}, {("/overlap", "unknown-field")}),
        ([], {("", "wrong-type")}),
    ],
)
def test_invalid_rotations_are_refused(api: Any, tenant: Any, body: Any, expected: Any) -> None:
    made = make(api, tenant)
    assert faults(api.post(f"/v1/api-keys/{made['id']}/rotate", body, key=tenant.api_key)) == expected
    assert works(api, made["key"])


def test_over_the_quota_no_key_is_made_until_one_ends(api: Any, tenant: Any) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas={"api_keys": 2})
    made = make(api, tenant)
    document = problem(api.post("/v1/api-keys", READ, key=tenant.api_key), 429, "quota-exceeded")
    assert document["violated_policies"] == ["api_keys"]
    assert (document["limit"], document["used"], document["resets_at"]) == (2, 2, None)
    api.delete(f"/v1/api-keys/{made['id']}", key=tenant.api_key)
    make(api, tenant, name="ends")
    ApiKey.objects.filter(name="ends").update(expires_at=PAST)
    make(api, tenant)


def test_a_tenant_without_a_quota_makes_as_many_as_it_likes(api: Any, tenant: Any) -> None:
    TenantRow.objects.filter(id=tenant.id).update(quotas={"api_keys": None})
    for _ in range(3):
        make(api, tenant)


def test_keys_that_are_over_leave_in_the_end_but_no_living_one(
    api: Any, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_key_changes, "DEAD_KEYS_KEPT", 2)
    for _ in range(5):
        api.delete(f"/v1/api-keys/{make(api, tenant)['id']}", key=tenant.api_key)
    last = make(api, tenant)
    assert works(api, last["key"])
    keys = api.get("/v1/api-keys", key=tenant.api_key).json()["data"]
    assert [key["revoked_at"] is not None for key in keys] == [False, True, True, False]


def test_a_repeated_request_makes_one_key_and_answers_the_same(api: Any, tenant: Any) -> None:
    first, second = (api.post("/v1/api-keys", READ, key=tenant.api_key, Idempotency_Key="k1") for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert ApiKey.objects.filter(tenant_id=tenant.id).count() == 2


def test_a_repeated_answer_is_not_for_a_key_of_fewer_rights(api: Any, tenant: Any) -> None:
    body = {"name": "strong", "scopes": ["payloads:read"]}
    assert api.post("/v1/api-keys", body, key=tenant.api_key, Idempotency_Key="k1").status_code == 201
    weak = make_key(tenant, "keys:write")
    problem(api.post("/v1/api-keys", body, key=weak, Idempotency_Key="k1"), 403, "forbidden")


def test_unknown_parameters_are_refused(api: Any, tenant: Any) -> None:
    made = make(api, tenant)
    own = f"/v1/api-keys/{made['id']}"
    answers = [
        api.get("/v1/api-keys?all=1", key=tenant.api_key),
        api.post("/v1/api-keys?all=1", READ, key=tenant.api_key),
        api.get(f"{own}?all=1", key=tenant.api_key),
        api.delete(f"{own}?all=1", key=tenant.api_key),
        api.post(f"{own}/rotate?all=1", {}, key=tenant.api_key),
    ]
    assert [faults(answer) for answer in answers] == [{("/all", "unknown-parameter")}] * 5
    assert works(api, made["key"])


def test_the_use_of_a_key_is_noted_once_a_minute(api: Any, tenant: Any) -> None:
    made = make(api, tenant)
    path = f"/v1/api-keys/{made['id']}"
    assert works(api, made["key"])
    first = api.get(path, key=tenant.api_key).json()["last_used_at"]
    assert first is not None
    assert works(api, made["key"])
    assert api.get(path, key=tenant.api_key).json()["last_used_at"] == first
    ApiKey.objects.update(last_used_at=datetime.now(UTC) - timedelta(seconds=61))
    stale = api.get(path, key=tenant.api_key).json()["last_used_at"]
    assert works(api, made["key"])
    assert api.get(path, key=tenant.api_key).json()["last_used_at"] > stale


def test_a_wrong_key_is_no_use_of_the_right_one(api: Any, tenant: Any) -> None:
    made = make(api, tenant, cidrs=["192.0.2.0/24"])
    api.get("/v1/jobs", key=made["key"])
    assert api.get(f"/v1/api-keys/{made['id']}", key=tenant.api_key).json()["last_used_at"] is None


def test_logs_hold_no_key(api: Any, tenant: Any, caplog: Any) -> None:
    made = make(api, tenant)
    rotated = api.post(f"/v1/api-keys/{made['id']}/rotate", {}, key=tenant.api_key).json()
    api.delete(f"/v1/api-keys/{made['id']}", key=tenant.api_key)
    for event in ("api_key_made", "api_key_rotated", "api_key_revoked"):
        assert event in caplog.text
    for text in (made["key"], rotated["key"]):
        assert text.split("_")[3] not in caplog.text
