"""The operations on what belongs to the tenant itself."""

from __future__ import annotations

from api.openapi import examples
from api.openapi.declaration import Answer, Operation, ref
from api.signing_secrets import ReadDefaultSecret
from api.tenant import ReadTenant
from api.views import ApiView

TENANT_OPERATIONS: dict[type[ApiView], Operation] = {
    ReadTenant: Operation(
        tag="Tenant",
        summary="Read the tenant",
        answers={200: Answer("The tenant and its limits.", ref("Tenant"), examples.TENANT)},
    ),
    ReadDefaultSecret: Operation(
        tag="Tenant",
        summary="Read the default signing secret",
        description="Receivers verify `callback_url` events and `job.run` requests with it, by Standard Webhooks.",
        answers={200: Answer("The secret.", ref("SigningSecret"), examples.SIGNING_SECRET)},
    ),
}
