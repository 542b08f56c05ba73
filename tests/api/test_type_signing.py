"""`http.signing` of PUT and GET /v1/job-types/{name}, and POST …/{name}/rotate-secret."""

from __future__ import annotations

from typing import Any

import pytest

from tenants.models import SigningSecret
from tests.api.keys import faults, make_key, problem, without_request_id
from tests.jobs.throttling import throttle

pytestmark = pytest.mark.django_db
PATH = "/v1/job-types/mine"
ROTATE = f"{PATH}/rotate-secret"
URL = "https://example.com/work"
OWN = {"scheme": "v1", "own": True}
PUBLIC = {"scheme": "v1a", "own": True}


def put(api: Any, tenant: Any, signing: Any = None, *, path: str = PATH, **headers: str) -> Any:
    answer = api.put(path, http_type(signing), key=tenant.api_key, **headers)
    assert answer.status_code in (200, 201), answer.content
    return answer


def http_type(signing: Any) -> dict[str, Any]:
    return {"executor": "http", "http": {"url": URL, "signing": signing}}


def signing_of(answer: Any) -> dict[str, Any]:
    signing: dict[str, Any] = answer.json()["http"]["signing"]
    return signing


def rotate(api: Any, tenant: Any, body: Any = None) -> Any:
    answer = api.post(ROTATE, body, key=tenant.api_key)
    assert answer.status_code == 200, answer.content
    return answer


def own_secrets(tenant: Any) -> set[Any]:
    """The ids of the stored secrets besides the tenant's default one."""
    rows = SigningSecret.objects.filter(tenant_id=tenant.id).exclude(name="default")
    return set(rows.values_list("id", flat=True))


@pytest.mark.parametrize("signing", [None, {}, {"scheme": None, "own": None}, {"scheme": "v1", "own": False}])
def test_a_type_signs_with_the_tenants_default_secret_unless_it_says_otherwise(
    api: Any, tenant: Any, signing: Any
) -> None:
    assert signing_of(put(api, tenant, signing)) == {"scheme": "v1", "own": False, "public_key": None}
    assert own_secrets(tenant) == set()


def test_an_own_secret_is_answered_once(api: Any, tenant: Any) -> None:
    made = put(api, tenant, OWN).json()
    secret = made["http"]["signing"].pop("secret")
    assert secret.startswith("whsec_")
    assert secret != api.get("/v1/signing-secrets/default", key=tenant.api_key).json()["secret"]
    for path in (PATH, "/v1/job-types"):
        assert secret not in api.get(path, key=tenant.api_key).content.decode()
    assert api.get(PATH, key=tenant.api_key).json() == made
    [row] = SigningSecret.objects.filter(name=made["id"])
    assert secret.encode() not in bytes(row.sealed)


def test_a_put_that_asks_for_one_again_keeps_the_secret(api: Any, tenant: Any) -> None:
    put(api, tenant, OWN)
    kept = own_secrets(tenant)
    again = put(api, tenant, OWN)
    assert signing_of(again) == {**OWN, "public_key": None}
    assert own_secrets(tenant) == kept


def test_of_v1a_everybody_sees_the_public_key_and_nobody_the_secret(api: Any, tenant: Any) -> None:
    made = put(api, tenant, PUBLIC)
    assert signing_of(made).keys() == {"scheme", "own", "public_key"}
    reader = make_key(tenant, "jobs:read")
    assert signing_of(api.get(PATH, key=reader)) == signing_of(made) == signing_of(put(api, tenant, PUBLIC))
    [listed] = [one for one in api.get("/v1/job-types", key=reader).json()["data"] if one["name"] == "mine"]
    assert listed["http"]["signing"] == signing_of(made)
    default = api.get("/v1/signing-secrets/default", key=tenant.api_key).json()["public_key"]
    assert signing_of(put(api, tenant, {"scheme": "v1a"})) == {"scheme": "v1a", "own": False, "public_key": default}
    assert signing_of(made)["public_key"] != default


@pytest.mark.parametrize(("before", "after"), [(OWN, PUBLIC), (PUBLIC, OWN)])
def test_a_secret_of_one_scheme_is_not_kept_for_the_other(api: Any, tenant: Any, before: Any, after: Any) -> None:
    put(api, tenant, before)
    old = own_secrets(tenant)
    assert ("secret" in signing_of(put(api, tenant, after))) == (after == OWN)
    assert len(own_secrets(tenant)) == 1
    assert own_secrets(tenant).isdisjoint(old)


@pytest.mark.parametrize(
    "body",
    [http_type(None), http_type({"scheme": "v1", "own": False}), {"executor": "handler", "handler": "echo"}],
)
def test_a_put_that_asks_for_none_drops_it_with_its_predecessors(api: Any, tenant: Any, body: Any) -> None:
    old = signing_of(put(api, tenant, OWN))["secret"]
    rotate(api, tenant)
    assert api.put(PATH, body, key=tenant.api_key).status_code == 200
    assert own_secrets(tenant) == set()
    assert signing_of(put(api, tenant, OWN))["secret"] != old


def test_a_deleted_type_is_gone_with_its_secret_and_one_made_anew_has_another(api: Any, tenant: Any) -> None:
    first = signing_of(put(api, tenant, OWN))["secret"]
    rotate(api, tenant)
    assert api.call("DELETE", PATH, None, tenant.api_key, {}).status_code == 204
    assert own_secrets(tenant) == set()
    assert signing_of(put(api, tenant, OWN))["secret"] != first


def test_a_refused_put_changes_no_secret(api: Any, tenant: Any) -> None:
    old = put(api, tenant, OWN).headers["ETag"]
    put(api, tenant, OWN)
    kept = own_secrets(tenant)
    problem(api.put(PATH, http_type(None), key=tenant.api_key, If_Match=old), 412, "precondition-failed")
    assert own_secrets(tenant) == kept


@pytest.mark.parametrize("signing", [None, OWN, PUBLIC, {"scheme": "v1a"}])
def test_what_is_shown_can_be_put_back_and_changes_nothing(api: Any, tenant: Any, signing: Any) -> None:
    put(api, tenant, signing)
    kept = own_secrets(tenant)
    shown = api.get(PATH, key=tenant.api_key).json()
    body = {name: shown[name] for name in ("executor", "http", "handler", "payload_schema", "defaults", "on_crash")}
    again = api.put(PATH, body, key=tenant.api_key)
    assert (again.status_code, again.json()["http"]) == (200, shown["http"])
    assert own_secrets(tenant) == kept


@pytest.mark.parametrize(
    ("signing", "expected"),
    [
        ({"scheme": "v2"}, {("/http/signing/scheme", "out-of-range")}),
        ({"own": 0}, {("/http/signing/own", "wrong-type")}),
        ({"own": "true"}, {("/http/signing/own", "wrong-type")}),
        ({"secret": "whsec_"}, {("/http/signing/secret", "unknown-field")}),
        ({"public_key": "whpk_"}, {("/http/signing/public_key", "bad-format")}),
        ({"public_key": 1}, {("/http/signing/public_key", "wrong-type")}),
        ("v1a", {("/http/signing", "wrong-type")}),
    ],
)
def test_an_invalid_signing_is_refused(api: Any, tenant: Any, signing: Any, expected: Any) -> None:
    assert faults(api.put(PATH, http_type(signing), key=tenant.api_key)) == expected
    assert own_secrets(tenant) == set()


def test_a_rotated_secret_is_answered_once_and_the_old_one_has_its_day(api: Any, tenant: Any) -> None:
    made = put(api, tenant, OWN)
    answer = rotate(api, tenant)
    assert signing_of(answer)["secret"] != signing_of(made)["secret"]
    old = SigningSecret.objects.get(name=made.json()["id"], valid_until__isnull=False)
    assert old.valid_until is not None
    assert 86_300 < (old.valid_until - old.created_at).total_seconds() < 86_500
    now = rotate(api, tenant, {"overlap_seconds": 0})
    read = api.get(PATH, key=tenant.api_key)
    assert "secret" not in signing_of(read)
    assert len({one.headers["ETag"] for one in (made, answer, now)}) == 3
    assert read.headers["ETag"] == now.headers["ETag"]
    assert put(api, tenant, OWN, If_Match=now.headers["ETag"]).headers["ETag"] != now.headers["ETag"]


def test_a_rotation_shows_a_new_public_key_and_no_secret(api: Any, tenant: Any) -> None:
    made = put(api, tenant, PUBLIC)
    rotated = signing_of(rotate(api, tenant))
    assert rotated.keys() == {"scheme", "own", "public_key"}
    assert rotated["public_key"] != signing_of(made)["public_key"]
    assert signing_of(api.get(PATH, key=tenant.api_key, If_None_Match=made.headers["ETag"])) == rotated


def test_a_rotation_is_no_new_version_of_the_type(api: Any, tenant: Any) -> None:
    put(api, tenant, OWN)
    throttle(tenant, "mine")
    before = api.get(PATH, key=tenant.api_key).json()
    assert before["throttled_until"] is not None
    assert rotate(api, tenant).json()["throttled_until"] == before["throttled_until"]


@pytest.mark.parametrize("body", [http_type(None), {"executor": "handler", "handler": "echo"}])
def test_a_type_without_a_secret_of_its_own_has_none_to_rotate(api: Any, tenant: Any, body: Any) -> None:
    api.put(PATH, body, key=tenant.api_key)
    problem(api.post(ROTATE, {}, key=tenant.api_key), 409, "no-own-secret")
    assert own_secrets(tenant) == set()


@pytest.mark.parametrize("name", ["echo", "http.request"])
def test_a_built_in_type_has_nothing_to_rotate(api: Any, tenant: Any, name: str) -> None:
    problem(api.post(f"/v1/job-types/{name}/rotate-secret", {}, key=tenant.api_key), 409, "conflict")


def test_another_tenants_secret_is_not_rotated(api: Any, tenant: Any, other_tenant: Any) -> None:
    put(api, other_tenant, OWN)
    kept = own_secrets(other_tenant)
    foreign, unknown = (
        without_request_id(api.post(f"/v1/job-types/{name}/rotate-secret", {}, key=tenant.api_key))
        for name in ("mine", "nobodys")
    )
    assert foreign == unknown
    assert foreign[0] == 404
    problem(api.post("/v1/job-types/Upper/rotate-secret", {}, key=tenant.api_key), 404, "not-found")
    assert own_secrets(other_tenant) == kept


def test_a_rotation_needs_a_key_and_its_scope_and_takes_no_parameters(api: Any, tenant: Any) -> None:
    put(api, tenant, OWN)
    problem(api.post(ROTATE, {}), 401, "unauthenticated")
    problem(api.post(ROTATE, {}, key=make_key(tenant, "jobs:write", "webhooks:write")), 403, "insufficient-scope")
    assert faults(api.post(f"{ROTATE}?x=1", {}, key=tenant.api_key)) == {("/x", "unknown-parameter")}
    assert len(own_secrets(tenant)) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"overlap_seconds": 604_801}, {("/overlap_seconds", "out-of-range")}),
        ({"overlap_seconds": -1}, {("/overlap_seconds", "out-of-range")}),
        ({"overlap": 1}, {("/overlap", "unknown-field")}),
        ([], {("", "wrong-type")}),
    ],
)
def test_invalid_rotations_are_refused(api: Any, tenant: Any, body: Any, expected: Any) -> None:
    put(api, tenant, OWN)
    assert faults(api.post(ROTATE, body, key=tenant.api_key)) == expected
    assert len(own_secrets(tenant)) == 1


def test_the_defaults_rotation_leaves_a_types_own_secret_and_the_other_way_round(api: Any, tenant: Any) -> None:
    made = put(api, tenant, PUBLIC)
    default = api.get("/v1/signing-secrets/default", key=tenant.api_key).json()
    rotate(api, tenant)
    assert api.get("/v1/signing-secrets/default", key=tenant.api_key).json() == default
    put(api, tenant, PUBLIC, path="/v1/job-types/other")
    kept = own_secrets(tenant)
    api.post("/v1/signing-secrets/default/rotate", {}, key=tenant.api_key)
    assert own_secrets(tenant) == kept
    assert made.status_code == 201


def test_logs_hold_no_secret(api: Any, tenant: Any, caplog: Any) -> None:
    secrets = [signing_of(put(api, tenant, OWN))["secret"], signing_of(rotate(api, tenant))["secret"]]
    assert "job_type_secret_rotated" in caplog.text
    assert not any(secret in caplog.text for secret in secrets)
