"""Every act that is written down, and what of each kind of object may be written down of it.

Submissions and plain reads are no acts here: the job's own timeline tells of jobs. What of an object is in neither
list below is never written; of what is sealed or may hold a secret, only that it changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_noop

# By the name of the act: what was done. The part before the point is the kind of object.
ACTIONS: Mapping[str, str] = {
    "api-key.created": gettext_noop("An API key was made."),
    "api-key.rotated": gettext_noop("An API key got another text."),
    "api-key.revoked": gettext_noop("An API key was ended."),
    "job.updated": gettext_noop("A waiting job was changed; `after` names what of it."),
    "job.cancelled": gettext_noop("A job was cancelled, or its run asked to stop."),
    "job.retried": gettext_noop("A job was made available again."),
    "job.followed": gettext_noop("A job was made from this one, with an edited payload; `after` names it."),
    "job.erased": gettext_noop("A job and its data were erased."),
    "job.parts-read": gettext_noop("Payload, result or metadata of a job was read (`include`)."),
    "bulk-action.created": gettext_noop(
        "Many jobs were to be cancelled, retried or erased, as their timelines tell, or "
        "deliveries to be sent again (`replay`)."
    ),
    "bulk-action.aborted": gettext_noop("A bulk action was stopped."),
    "job-type.created": gettext_noop("A job type was made."),
    "job-type.updated": gettext_noop("A job type was replaced."),
    "job-type.deleted": gettext_noop("A job type was deleted."),
    "job-type.secret-rotated": gettext_noop("A job type got another signing secret."),
    "queue.created": gettext_noop("A queue was made by its settings."),
    "queue.updated": gettext_noop("A queue's settings were changed; pausing and resuming are such a change."),
    "error-group.updated": gettext_noop("A group of errors was resolved, ignored or opened."),
    "endpoint.created": gettext_noop("A webhook endpoint was made."),
    "endpoint.updated": gettext_noop("A webhook endpoint was changed."),
    "endpoint.deleted": gettext_noop("A webhook endpoint was deleted."),
    "endpoint.secret-rotated": gettext_noop("A webhook endpoint got another signing secret."),
    "endpoint.tested": gettext_noop("A test event was sent to a webhook endpoint."),
    "endpoint.answers-read": gettext_noop("What a webhook endpoint answered was read (`include`)."),
    "delivery.retried": gettext_noop("A delivery was sent again, or at once."),
    "signing-secret.read": gettext_noop("The default signing secret was read."),
    "signing-secret.rotated": gettext_noop("The default signing secret was replaced."),
    "member.invited": gettext_noop("A person was invited."),
    "member.joined": gettext_noop("A person redeemed an invitation."),
    "member.logged-in": gettext_noop(
        "A member logged in to the tenant's console, or turned to it from another tenant."
    ),
    "member.role-changed": gettext_noop("A member's role, or their permission to see payloads, was changed."),
    "member.removed": gettext_noop("A member was removed or left, or an invitation was withdrawn."),
    "tenant.created": gettext_noop("The tenant was made."),
    "tenant.updated": gettext_noop("The tenant's weight was changed."),
    "tenant.login-rule-updated": gettext_noop("Whether the tenant's members need a second factor was changed."),
    "tenant.suspended": gettext_noop("The tenant was suspended."),
    "tenant.resumed": gettext_noop("The tenant was made active again."),
    "tenant.quotas-updated": gettext_noop("The tenant's plan or quotas were changed, or those of its plan."),
    "tenant.usage-recounted": gettext_noop("What the tenant holds was counted anew."),
    "tenant.key-rotated": gettext_noop("The tenant's data key got another version."),
    "tenant.key-retired": gettext_noop("The older versions of the tenant's data key open nothing any more."),
    "tenant.key-rewrapped": gettext_noop("The tenant's keys were wrapped under another root key."),
    "tenant.visit-begun": gettext_noop(
        "An operator began to look at the tenant's console, until the time in `after` at most."
    ),
    "tenant.visit-ended": gettext_noop("An operator's visit ended."),
    "tenant.erased": gettext_noop("The tenant was erased; its log remains."),
}


@dataclass(frozen=True, slots=True)
class Fields:
    """What of an object is written down: as it is, or only that it changed."""

    plain: tuple[str, ...] = ()
    changed_only: tuple[str, ...] = ()


# An address may hold a credential, headers do; a payload schema is long.
FIELDS: Mapping[str, Fields] = {
    "api-key": Fields(("name", "scopes", "queues", "cidrs", "expires_at", "previous_valid_until")),
    # Of a tag its name at most: values may be of persons.
    "job": Fields(("changed", "parts", "outcome", "follower")),
    "bulk-action": Fields(("action", "endpoint_id", "matched", "max", "filter")),
    "job-type": Fields(("executor", "handler", "defaults", "on_crash", "signing"), ("http", "payload_schema")),
    "queue": Fields(("concurrency", "key_concurrency", "rate", "paused", "retention_days")),
    "error-group": Fields(("state",)),
    "endpoint": Fields(("events", "queues", "types", "status", "signing"), ("url", "headers")),
    "delivery": Fields(("job",)),
    "signing-secret": Fields(("overlap_seconds",)),
    "member": Fields(("role", "may_read_payloads")),
    "tenant": Fields(
        (
            "weight",
            "plan",
            "quotas",
            "key_version",
            "root_key_version",
            "open_jobs",
            "stored_bytes",
            "require_mfa",
            # Of an operator's act: why, and of a visit until when.
            "reason",
            "until",
        )
    ),
}

CHANGED = "changed"


def object_type(action: str) -> str:
    """The kind of object of an act. Raises `KeyError` for an act that is not in the catalogue."""
    ACTIONS[action]
    return action.partition(".")[0]
