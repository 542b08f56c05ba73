"""The operations on what belongs to the tenant itself."""

from __future__ import annotations

from api.audit_events import ListAuditEvents
from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.parameters import AUDIT_FILTERS, PAGING
from api.signing_secrets import ReadDefaultSecret, RotateDefaultSecret
from api.tenant import ReadTenant, ReadUsage
from api.views import ApiView
from tenants.quotas import DEFAULTS, ENFORCED

_ENFORCED = ", ".join(f"`{name}`" for name in DEFAULTS if name in ENFORCED)

TENANT_OPERATIONS: dict[type[ApiView], Operation] = {
    ReadTenant: Operation(
        tag="Tenant",
        summary="Read the tenant",
        description=f"Of its limits {_ENFORCED} are enforced; the others are shown, and hold nothing back yet.",
        answers={200: Answer("The tenant and its limits.", ref("Tenant"), examples.tenants.TENANT)},
    ),
    ReadUsage: Operation(
        tag="Tenant",
        summary="Read what is used of each quota",
        description="All quotas by their names. What is counted is exact at the moment of the answer.",
        answers={200: Answer("Each quota.", ref("UsageList"), examples.tenants.USAGE)},
    ),
    ListAuditEvents: Operation(
        tag="Tenant",
        summary="List audit events",
        description="What people, API keys and the operator did: each act once, in the order of `seq`, which has no "
        "gaps. Submitting jobs and reading them is no such act; reading their payloads is. Every `hash` is of the "
        "event and the hash before it: keep the newest one elsewhere, and it shows later whether anything up to it was "
        "altered.",
        parameters=(*AUDIT_FILTERS, *PAGING),
        answers={
            200: Answer("A page, the newest first.", ref("AuditEventPage"), examples.page(examples.tenants.AUDIT_EVENT))
        },
    ),
    ReadDefaultSecret: Operation(
        tag="Tenant",
        summary="Read the default signing secret",
        description="Receivers verify `callback_url` events with it, and what is sent to endpoints and job types "
        "without a secret of their own, by Standard Webhooks.",
        answers={200: Answer("The secret.", ref("SigningSecret"), examples.webhooks.SIGNING_SECRET)},
    ),
    RotateDefaultSecret: Operation(
        tag="Tenant",
        summary="Replace the default signing secret",
        description="The secret until now signs beside the new one for the overlap, so that receivers can change over; "
        "of those before it the two newest go on, each for its own time.",
        body=Body("SecretRotationRequest", {"Both sign for a day": {"overlap_seconds": 86_400}}, is_required=False),
        answers={200: Answer("The new secret.", ref("SigningSecret"), examples.webhooks.ROTATED_SECRET)},
    ),
}
