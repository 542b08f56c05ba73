"""Changes of keys at the same moment, with real commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobservice.errors import Conflict, Forbidden, JobserviceError, QuotaExceeded
from tenants.api_key_changes import make_api_key, revoke_api_key, rotate_api_key
from tenants.api_key_rights import KeyRights
from tenants.api_keys import Credential, authenticate, note_use
from tenants.models import ApiKey
from tenants.models import Tenant as TenantRow
from tests.factories import Tenant

Race = Callable[..., list[Any]]


def credential_of(text: str) -> Credential:
    credential = authenticate(text)
    assert credential is not None
    return credential


def outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except JobserviceError as error:
        return type(error)


def test_two_keys_made_at_once_do_not_both_take_the_last_place(racing_tenant: Tenant, race: Race) -> None:
    TenantRow.objects.filter(id=racing_tenant.id).update(quotas={"api_keys": 4})
    actor = credential_of(racing_tenant.api_key)

    def make() -> Any:
        return outcome(lambda: make_api_key(actor, name="k", rights=KeyRights(frozenset({"jobs:read"}))))

    results = race("web", *[make] * 10)
    assert results.count(QuotaExceeded) == 7
    assert ApiKey.objects.filter(tenant_id=racing_tenant.id).count() == 4


def test_a_key_that_is_being_revoked_leaves_no_successor_behind(racing_tenant: Tenant, race: Race) -> None:
    """Whoever is first: a key made before the revocation is seen by it, none is made after it."""
    actor = credential_of(racing_tenant.api_key)
    rights = KeyRights(frozenset({"jobs:read"}))
    results = race(
        "web",
        lambda: outcome(lambda: revoke_api_key(actor, actor.key_id)),
        *[lambda: outcome(lambda: make_api_key(actor, name="k", rights=rights))] * 6,
        *[lambda: outcome(lambda: rotate_api_key(actor, actor.key_id))] * 3,
    )
    assert results[0] is True
    assert authenticate(racing_tenant.api_key) is None
    revoked_at = ApiKey.objects.get(id=actor.key_id).revoked_at
    assert revoked_at is not None
    for key in ApiKey.objects.filter(tenant_id=racing_tenant.id):
        assert key.created_at <= revoked_at
    assert outcome(lambda: make_api_key(actor, name="k", rights=rights)) is Forbidden
    assert outcome(lambda: rotate_api_key(actor, actor.key_id)) in (Forbidden, Conflict)


def test_of_rotations_at_once_the_last_text_works_and_one_before_it_at_most(racing_tenant: Tenant, race: Race) -> None:
    actor = credential_of(racing_tenant.api_key)
    shown = race("web", *[lambda: rotate_api_key(actor, actor.key_id, overlap_seconds=60)] * 6)
    living = [one.text for one in shown if authenticate(one.text) is not None]
    assert len(living) == 2
    assert authenticate(racing_tenant.api_key) is None


def test_many_uses_at_once_write_one_time_and_wait_for_nobody(racing_tenant: Tenant, race: Race) -> None:
    actor = credential_of(racing_tenant.api_key)
    assert actor.is_use_unnoted
    race("web", *[lambda: note_use(actor.tenant_id, actor.key_id)] * 8)
    first = ApiKey.objects.get(id=actor.key_id).last_used_at
    assert first is not None
    assert not credential_of(racing_tenant.api_key).is_use_unnoted
    race("web", lambda: note_use(actor.tenant_id, actor.key_id))
    assert ApiKey.objects.get(id=actor.key_id).last_used_at == first
