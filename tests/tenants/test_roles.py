"""Every role against every permission: the table of docs/console.md."""

from __future__ import annotations

import pytest

from tenants.roles import OF_ROLE, PERMISSIONS, REVEAL, ROLES, may_grant, permissions_of

EXPECTED = {
    # permission: viewer, operator, admin, owner
    "read": (True, True, True, True),
    "act": (False, True, True, True),
    "keys": (False, False, True, True),
    "webhooks": (False, False, True, True),
    "members": (False, False, True, True),
    "audit": (False, False, True, True),
    "erase": (False, False, False, True),
    "settings": (False, False, False, True),
    "reveal-payloads": (False, False, False, False),
}
ORDER = ("viewer", "operator", "admin", "owner")


def test_the_table_is_of_all_permissions_and_roles() -> None:
    assert set(EXPECTED) == set(PERMISSIONS)
    assert set(ORDER) == set(ROLES) == set(OF_ROLE)


@pytest.mark.parametrize("permission", sorted(EXPECTED))
@pytest.mark.parametrize("role", ORDER)
def test_a_role_has_what_the_table_says(role: str, permission: str) -> None:
    expected = EXPECTED[permission][ORDER.index(role)]
    assert (permission in permissions_of(role, may_read_payloads=False)) is expected


@pytest.mark.parametrize("role", ORDER)
def test_payloads_are_a_permission_apart_that_adds_nothing_else(role: str) -> None:
    assert permissions_of(role, may_read_payloads=True) - permissions_of(role, may_read_payloads=False) == {REVEAL}


@pytest.mark.parametrize("may_read_payloads", [True, False])
def test_a_role_that_there_is_not_may_do_nothing(may_read_payloads: bool) -> None:
    assert permissions_of("king", may_read_payloads=may_read_payloads) == frozenset()


@pytest.mark.parametrize(
    ("role", "granted"),
    [("owner", "owner"), ("owner", "viewer"), ("admin", "admin"), ("admin", "operator"), ("admin", "viewer")],
)
def test_nobody_grants_more_than_they_have(role: str, granted: str) -> None:
    assert may_grant(role, granted)
    assert not may_grant("admin", "owner")
    assert not may_grant("operator", granted)
    assert not may_grant("viewer", granted)
