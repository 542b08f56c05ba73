"""What each role of a tenant may do in its console: the one table that says it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

# From the one who may do everything to the one who may only look.
ROLES = ("owner", "admin", "operator", "viewer")

READ, ACT = "read", "act"
KEYS, WEBHOOKS, MEMBERS, AUDIT = "keys", "webhooks", "members", "audit"
ERASE, SETTINGS = "erase", "settings"
REVEAL = "reveal-payloads"

PERMISSIONS: Mapping[str, str] = {
    READ: "Look at jobs, errors, queues, schedules, webhooks, workers and usage.",
    ACT: "Submit, retry and cancel jobs; pause, resume and set up queues, job types and schedules.",
    KEYS: "Make, rotate and revoke API keys.",
    WEBHOOKS: "Set up webhook endpoints and signing secrets.",
    MEMBERS: "Invite people, change their roles and remove them.",
    AUDIT: "Read and export the audit log.",
    ERASE: "Erase jobs for good.",
    SETTINGS: "Change what holds for the whole tenant.",
    # But what the inbox of `make run` received, which stands for a receiver of one's own.
    REVEAL: "See payloads and results; apart from the role, and each look is written down.",
}

_VIEWER = frozenset({READ})
_OPERATOR = _VIEWER | {ACT}
_ADMIN = _OPERATOR | {KEYS, WEBHOOKS, MEMBERS, AUDIT}
_OWNER = _ADMIN | {ERASE, SETTINGS}
OF_ROLE: Mapping[str, frozenset[str]] = {"owner": _OWNER, "admin": _ADMIN, "operator": _OPERATOR, "viewer": _VIEWER}

# What of the API each permission stands for. `jobs:write` erases jobs too; whoever makes keys is trusted with that.
_SCOPES: Mapping[str, tuple[str, ...]] = {
    READ: ("jobs:read", "tenant:read"),
    ACT: ("jobs:write", "queues:write", "types:write", "leases:write"),
    KEYS: ("keys:write",),
    WEBHOOKS: ("webhooks:write",),
    AUDIT: ("audit:read",),
    REVEAL: ("payloads:read",),
}


def permissions_of(role: str, *, may_read_payloads: bool) -> frozenset[str]:
    """All that a member may do; nothing for a role that there is not."""
    allowed = OF_ROLE.get(role, frozenset())
    return allowed | {REVEAL} if may_read_payloads and allowed else allowed


def may_grant(role: str, granted: str) -> bool:
    """Whether a member of this role may give another one the role `granted`, or take it away: none above their own."""
    return MEMBERS in OF_ROLE.get(role, frozenset()) and ROLES.index(role) <= ROLES.index(granted)


def scopes_of(permissions: Collection[str]) -> frozenset[str]:
    """The scopes of API keys that somebody with these permissions may give to a key.

    A key that may see payloads takes the permission to see them, whatever the role: an owner who may not see them
    themselves makes no key that may.
    """
    return frozenset(scope for permission, scopes in _SCOPES.items() if permission in permissions for scope in scopes)
