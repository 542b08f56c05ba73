"""Every operation of the API against every kind of caller, read from the addresses themselves.

Who may not gets 401, 403 or 404 exactly; what is another tenant's, or in a queue out of the key's reach, is answered
as what does not exist, byte for byte; and no refused call changes a row of anybody. An operation without a line in
`access_entries.py` fails here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from django.db import connection

from api.urls import urlpatterns
from api.views import AddressedView, ApiView, PublicView
from jobservice import ids
from jobservice.jobs.models import Job, Queue
from tenants.api_key_format import new_api_key
from tenants.api_keys import SCOPES
from tenants.data_keys import forget_opened_keys
from tenants.models import ApiKey, DataKey
from tenants.models import Tenant as TenantRow
from tests.api.keys import make_key, problem
from tests.factories import Tenant
from tests.security.access_entries import ADDRESSED, BULK_ACTION, ENDED_JOB, ENTRIES, JOB, PUBLIC, QUEUE, RUN, Entry
from tests.security.access_scopes import SCOPES_OF

pytestmark = pytest.mark.django_db

# What differs between any two answers, and between any two objects made one after the other.
VOLATILE = frozenset(
    {"request_id", "id", "created_at", "updated_at", "finished_at", "available_at", "run_at", "key", "prefix"}
)
VOLATILE_HEADERS = frozenset({"X-Request-Id", "RateLimit", "Location", "Content-Length", "ETag"})


def operations(patterns: list[Any]) -> dict[str, type[ApiView]]:
    """Every operation by its method and route; an address that is no `by_method` is one of class None."""
    return {
        f"{method} {pattern.pattern}": view
        for pattern in patterns
        for method, view in getattr(pattern.callback, "operations", {"?": None}).items()
    }


ALL = operations(urlpatterns)
TENANTS = sorted(ENTRIES)
# Every operation on one object, by one of its places for an id.
IN_PATH = [(name, parameter) for name in TENANTS for parameter in ENTRIES[name].ids]
IN_QUERY = [(name, parameter) for name in TENANTS for parameter in ENTRIES[name].query_ids]
IN_BODY = [(name, place) for name in TENANTS for place in range(len(ENTRIES[name].body_ids))]


def unentered(found: Mapping[str, type[ApiView] | None]) -> set[str]:
    """The operations that neither have an entry nor are public, or addressed, by class and by list."""
    return {name for name, view in found.items() if name not in _listed(view)}


def _listed(view: type[ApiView] | None) -> Collection[str]:
    if view is not None and issubclass(view, PublicView):
        return PUBLIC
    return ADDRESSED if view is not None and issubclass(view, AddressedView) else ENTRIES


def call(api: Any, name: str, *, key: str | None, ids: Mapping[str, str], query: str = "", body: Any = ...) -> Any:
    """Make the request of an entry; `ids` fill the places of its path."""
    method, _, route = name.partition(" ")
    for parameter, value in ids.items():
        route = route.replace(f"<str:{parameter}>", value)
    assert "<" not in route, f"{name} has a place that its entry does not fill"
    sent = {**ENTRIES, **ADDRESSED}[name].body if body is ... else body
    return api.call(method, f"/{route}{query}", sent, key, {})


def own_ids(entry: Entry, tenant: Tenant) -> dict[str, str]:
    return {parameter: source.make(tenant) for parameter, source in entry.ids.items()}


def unknown_ids(entry: Entry) -> dict[str, str]:
    return {parameter: source.unknown() for parameter, source in entry.ids.items()}


def shown(answer: Any, *names: str) -> tuple[int, Any, dict[str, str]]:
    """An answer less what must differ; the ids that were asked for by name are all the same."""
    text = answer.content.decode()
    for name in names:
        text = text.replace(name, "<id>")
    headers = {name: value for name, value in answer.headers.items() if name not in VOLATILE_HEADERS}
    return answer.status_code, _steady(json.loads(text)) if text else None, headers


def _steady(value: Any) -> Any:
    if isinstance(value, list):
        return [_steady(item) for item in value]
    if isinstance(value, dict):
        return {name: _steady(item) for name, item in value.items() if name not in VOLATILE}
    return value


def rows_of(tenant: Tenant) -> dict[str, Any]:
    """A fingerprint of every row of the tenant, by table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
            "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace "
            "AND c.relname <> 'request_bucket'"
        )
        tables = sorted(name for (name,) in cursor.fetchall())
        union = " UNION ALL ".join(
            f"SELECT '{table}', count(*), "
            f"md5(coalesce(string_agg((to_jsonb(t) - 'last_used_at')::text, ',' ORDER BY to_jsonb(t)::text), '')) "
            f"FROM {table} t WHERE tenant_id = '{tenant.id}'"
            for table in tables
        )
        cursor.execute(union)
        return {table: rest for table, *rest in cursor.fetchall()}


def test_every_operation_has_an_entry_and_every_entry_an_operation() -> None:
    assert unentered(ALL) == set()
    assert set(ENTRIES) | set(ADDRESSED) | PUBLIC == set(ALL)


def test_each_operation_takes_the_scopes_that_are_written_down() -> None:
    """Read apart from the code: the tests below ask the views themselves what they require."""
    found = {
        name: (" ".join(sorted(ALL[name].required_scopes)), " ".join(sorted(ALL[name].other_scopes)))
        for name in TENANTS
    }
    assert found == SCOPES_OF


def test_an_operation_without_an_entry_would_be_found() -> None:
    class Forgotten(ApiView):
        required_scopes = frozenset({"jobs:read"})

    class Open(PublicView):
        pass

    class Addressed(AddressedView):
        pass

    found = {"GET v1/forgotten": Forgotten, "GET v1/open": Open, "? v1/foreign": None, "GET v1/jobs": Open}
    assert unentered({**found, "GET v1/tenant": Addressed}) == {*found, "GET v1/tenant"}


@pytest.mark.parametrize("name", TENANTS)
def test_a_key_of_the_required_scopes_alone_may(api: Any, tenant: Tenant, name: str) -> None:
    entry = ENTRIES[name]
    key = make_key(tenant, *ALL[name].required_scopes)
    answer = call(api, name, key=key, ids=own_ids(entry, tenant))
    assert answer.status_code == entry.status, answer.content
    assert answer.headers["RateLimit-Policy"] == '"api";q=2000;w=2'


IDENTITIES = ["none", "malformed", "wrong", "unknown", "expired", "revoked", "rotated out"]


def text_of(identity: str, tenant: Tenant) -> str | None:
    """What a caller sends who is nobody."""
    key = make_key(tenant, *SCOPES)
    row = ApiKey.objects.filter(lookup_id=key.split("_")[2])
    match identity:
        case "none":
            return None
        case "malformed":
            return key[:-1] + ("0" if key[-1] != "0" else "1")
        case "wrong":
            row.update(secret_hash=new_api_key().secret_hash)
        case "unknown":
            return new_api_key().text
        case "expired":
            row.update(expires_at="2020-01-01T00:00:00Z")
        case "revoked":
            row.update(revoked_at="2020-01-01T00:00:00Z")
        case "rotated out":
            row.update(
                previous_secret_hash=row.get().secret_hash,
                previous_valid_until="2020-01-01T00:00:00Z",
                rotated_at="2020-01-01T00:00:00Z",
                secret_hash=new_api_key().secret_hash,
            )
    return key


@pytest.mark.parametrize("name", TENANTS)
@pytest.mark.parametrize("identity", IDENTITIES)
def test_who_has_no_living_key_gets_a_401_that_says_nothing(api: Any, tenant: Tenant, name: str, identity: str) -> None:
    entry = ENTRIES[name]
    ids, key = own_ids(entry, tenant), text_of(identity, tenant)
    before = rows_of(tenant)
    existing = call(api, name, key=key, ids=ids)
    problem(existing, 401, "unauthenticated")
    assert existing.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "RateLimit" not in existing.headers
    assert shown(existing) == shown(call(api, name, key=key, ids=unknown_ids(entry)))
    assert rows_of(tenant) == before


@pytest.mark.parametrize("name", TENANTS)
def test_a_key_of_all_other_scopes_gets_a_403_that_names_the_missing_one(api: Any, tenant: Tenant, name: str) -> None:
    entry = ENTRIES[name]
    for scope in ALL[name].required_scopes:
        others = set(SCOPES) - {scope} - ALL[name].other_scopes
        key, ids = make_key(tenant, *others), own_ids(entry, tenant)
        before = rows_of(tenant)
        existing = call(api, name, key=key, ids=ids)
        assert scope in problem(existing, 403, "insufficient-scope")["detail"]
        assert shown(existing) == shown(call(api, name, key=key, ids=unknown_ids(entry)))
        assert rows_of(tenant) == before


@pytest.mark.parametrize("name", TENANTS)
def test_a_key_from_another_network_gets_a_403(api: Any, tenant: Tenant, name: str) -> None:
    ids, key = own_ids(ENTRIES[name], tenant), make_key(tenant, *SCOPES, cidrs=["192.0.2.0/24"])
    before = rows_of(tenant)
    problem(call(api, name, key=key, ids=ids), 403, "forbidden")
    assert rows_of(tenant) == before


@pytest.mark.parametrize("name", TENANTS)
def test_a_suspended_tenant_may_read_and_nothing_else(api: Any, tenant: Tenant, name: str) -> None:
    ids = own_ids(ENTRIES[name], tenant)
    TenantRow.objects.filter(id=tenant.id).update(status="suspended")
    before = rows_of(tenant)
    answer = call(api, name, key=tenant.api_key, ids=ids)
    if name.startswith("GET "):
        assert answer.status_code == 200
    else:
        problem(answer, 403, "forbidden")
        assert rows_of(tenant) == before


@pytest.mark.parametrize(("name", "parameter"), IN_PATH)
def test_another_tenants_object_is_answered_as_none(
    api: Any, tenant: Tenant, other_tenant: Tenant, name: str, parameter: str
) -> None:
    entry = ENTRIES[name]
    ids, source = own_ids(entry, tenant), entry.ids[parameter]
    foreign, unknown = source.make(other_tenant), source.unknown()
    victims = rows_of(other_tenant)
    answers = [call(api, name, key=tenant.api_key, ids={**ids, parameter: value}) for value in (foreign, unknown)]
    assert shown(answers[0], foreign) == shown(answers[1], unknown)
    if not name.startswith("PUT "):
        problem(answers[0], 404, "not-found")
        assert len(answers[0].content) == len(answers[1].content)
    assert rows_of(other_tenant) == victims


@pytest.mark.parametrize(("name", "parameter"), IN_QUERY)
def test_another_tenants_id_in_a_parameter_is_answered_as_none(
    api: Any, tenant: Tenant, other_tenant: Tenant, name: str, parameter: str
) -> None:
    entry = ENTRIES[name]
    ids, source = own_ids(entry, tenant), entry.query_ids[parameter]
    foreign, unknown = source.make(other_tenant), source.unknown()
    answers = [
        call(api, name, key=tenant.api_key, ids=ids, query=f"?{parameter}={value}") for value in (foreign, unknown)
    ]
    assert shown(answers[0], foreign) == shown(answers[1], unknown)


@pytest.mark.parametrize(("name", "place"), IN_BODY)
def test_another_tenants_id_in_a_body_is_answered_as_none(
    api: Any, tenant: Tenant, other_tenant: Tenant, name: str, place: int
) -> None:
    entry = ENTRIES[name]
    ids, (source, build) = own_ids(entry, tenant), entry.body_ids[place]
    foreign, unknown = source.make(other_tenant), source.unknown()
    victims = rows_of(other_tenant)
    answers = [call(api, name, key=tenant.api_key, ids=ids, body=build(value)) for value in (foreign, unknown)]
    assert shown(answers[0], foreign) == shown(answers[1], unknown)
    assert rows_of(other_tenant) == victims


@pytest.mark.parametrize("name", TENANTS)
def test_lists_and_answers_hold_nothing_of_another_tenant(
    api: Any, tenant: Tenant, other_tenant: Tenant, name: str
) -> None:
    sources = {source for entry in ENTRIES.values() for source in entry.ids.values()}
    foreign = [source.make(other_tenant) for source in sources]
    victims = rows_of(other_tenant)
    answer = call(api, name, key=tenant.api_key, ids=own_ids(ENTRIES[name], tenant))
    assert answer.status_code == ENTRIES[name].status
    assert not [text for text in foreign if text in answer.content.decode()]
    assert rows_of(other_tenant) == victims


@pytest.mark.parametrize("name", TENANTS)
def test_a_key_limited_to_a_queue_reaches_no_job_of_another(api: Any, tenant: Tenant, name: str) -> None:
    """Every operation, so that a new one that forgets the queues of its key is found."""
    entry, key = ENTRIES[name], make_key(tenant, *SCOPES, queues=["mine"])
    ids, job = own_ids(entry, tenant), JOB.make(tenant)
    before, queues = jobs_outside(tenant), queues_outside(tenant)
    answer = call(api, name, key=key, ids=ids)
    assert job not in answer.content.decode()
    assert jobs_outside(tenant) == before
    assert queues_outside(tenant) == queues
    if any(source in (JOB, ENDED_JOB, QUEUE, BULK_ACTION) for source in entry.ids.values()):
        problem(answer, 404, "not-found")
        assert shown(answer) == shown(call(api, name, key=key, ids=unknown_ids(entry)))
        # Nor does a fault in the request tell the two apart.
        assert shown(call(api, name, key=key, ids=ids, query="?no=1")) == shown(
            call(api, name, key=key, ids=unknown_ids(entry), query="?no=1")
        )


def queues_outside(tenant: Tenant) -> list[Any]:
    """The tenant's queues that are not the limited key's, and their settings."""
    return list(Queue.objects.filter(tenant_id=tenant.id).exclude(name="mine").order_by("id").values())


def jobs_outside(tenant: Tenant) -> list[Any]:
    """The tenant's jobs in other queues than the limited key's, and all that is known of them."""
    rows = rows_of(tenant)
    jobs = list(Job.objects.filter(tenant_id=tenant.id).exclude(queue="mine").order_by("id").values())
    return [jobs, rows["job_live"], rows["attempt"]]


@pytest.mark.parametrize("name", sorted(ADDRESSED))
@pytest.mark.parametrize("whose", ["nobody's", "another tenant's", "no scope's"])
def test_an_address_is_the_right_whatever_key_comes_along(
    api: Any, tenant: Tenant, other_tenant: Tenant, name: str, whose: str
) -> None:
    key = {"nobody's": None, "another tenant's": other_tenant.api_key}.get(whose, make_key(tenant, "audit:read"))
    answer = call(api, name, key=key, ids=own_ids(ADDRESSED[name], tenant))
    assert answer.status_code == 200, answer.content
    assert answer.headers["RateLimit-Policy"] == '"api";q=2000;w=2'


@pytest.mark.parametrize("name", sorted(ADDRESSED))
def test_a_wrong_address_is_answered_as_none_and_changes_nothing(
    api: Any, tenant: Tenant, other_tenant: Tenant, name: str
) -> None:
    right = RUN.make(tenant)
    raw = base64.urlsafe_b64decode(right + "==")
    spare_bit = right[:-1] + chr(ord(right[-1]) + 1)
    wrong = {
        "unknown": RUN.unknown(),
        "short": right[:-1],
        "another version": _encoded(b"\x02" + raw[1:]),
        "another tenant": _encoded(raw[:1] + other_tenant.id.bytes + raw[17:]),
        "another job": _encoded(raw[:17] + ids.new_id().bytes + raw[33:]),
        "another epoch": _encoded(raw[:33] + (2).to_bytes(8, "big") + raw[41:]),
        "another signature": _encoded(raw[:-1] + bytes([raw[-1] ^ 1])),
        "spare bits": spare_bit,
    }
    assert base64.urlsafe_b64decode(spare_bit + "==") == raw
    before = rows_of(tenant), rows_of(other_tenant)
    for why, token in wrong.items():
        answer = call(api, name, key=tenant.api_key, ids={"token": token})
        problem(answer, 404, "not-found")
        assert "RateLimit" not in answer.headers, why
        assert shown(answer) == shown(call(api, name, key=None, ids={"token": RUN.unknown()})), why
    assert (rows_of(tenant), rows_of(other_tenant)) == before


@pytest.mark.parametrize("name", sorted(ADDRESSED))
def test_the_address_of_an_erased_tenants_run_is_answered_as_none(api: Any, tenant: Tenant, name: str) -> None:
    token = RUN.make(tenant)
    DataKey.objects.filter(tenant_id=tenant.id).delete()
    forget_opened_keys()
    answer = call(api, name, key=None, ids={"token": token})
    assert shown(answer) == shown(call(api, name, key=None, ids={"token": RUN.unknown()}))
    problem(answer, 404, "not-found")


@pytest.mark.parametrize("name", sorted(ADDRESSED))
def test_the_runs_of_a_suspended_tenant_may_end(api: Any, tenant: Tenant, name: str) -> None:
    of_run = own_ids(ADDRESSED[name], tenant)
    TenantRow.objects.filter(id=tenant.id).update(status="suspended")
    assert call(api, name, key=None, ids=of_run).status_code == 200


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
