"""How people call who acted: members by their addresses, API keys by their names, the rest by what they are."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from jobservice import ids
from tenants.context import tenant_tx
from tenants.models import ApiKey, Member


def name_actors(tenant_id: UUID, actor_ids: Collection[str]) -> dict[str, str]:
    """The names by the ids (`mem_…`, `key_…`); ids that are nobody's of the tenant are left out. By primary keys."""
    members = _parsed(ids.MEMBER, actor_ids)
    keys = _parsed(ids.API_KEY, actor_ids)
    names: dict[str, str] = {}
    with tenant_tx(tenant_id):
        if members:
            found = Member.objects.filter(tenant_id=tenant_id, id__in=members).values_list("id", "email")
            names |= {ids.show_id(ids.MEMBER, member_id): email for member_id, email in found}
        if keys:
            named = ApiKey.objects.filter(tenant_id=tenant_id, id__in=keys).values_list("id", "name")
            names |= {ids.show_id(ids.API_KEY, key_id): name for key_id, name in named}
    return names


def _parsed(prefix: str, actor_ids: Collection[str]) -> list[UUID]:
    return [found for text in actor_ids if (found := ids.parse_id(prefix, text)) is not None]
