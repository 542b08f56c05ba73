"""The operations on API keys."""

from __future__ import annotations

from api.api_keys import ListApiKeys, MakeApiKey, ReadApiKey, RevokeApiKey, RotateApiKey
from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.parameters import BODY_ERRORS, IDEMPOTENCY_ERRORS, IDEMPOTENCY_KEY, PAGING
from api.views import ApiView

_LINKS = {
    name: {"operationId": name, "parameters": {"key_id": "$response.body#/id"}}
    for name in ("readApiKey", "rotateApiKey", "revokeApiKey")
}

API_KEY_OPERATIONS: dict[type[ApiView], Operation] = {
    ListApiKeys: Operation(
        tag="API keys",
        summary="List API keys",
        parameters=PAGING,
        answers={200: Answer("A page, the newest first.", ref("ApiKeyPage"), examples.page(examples.tenants.API_KEY))},
    ),
    MakeApiKey: Operation(
        tag="API keys",
        summary="Make an API key",
        description="Its text is answered this once. The new key may do no more than the one that makes it.",
        parameters=(IDEMPOTENCY_KEY,),
        body=Body("ApiKeyRequest", {"A key that submits to one queue": examples.tenants.API_KEY_REQUEST}),
        answers={
            201: Answer("The key.", ref("NewApiKey"), examples.tenants.NEW_API_KEY, headers=("Location",), links=_LINKS)
        },
        errors=("quota-exceeded", *IDEMPOTENCY_ERRORS),
    ),
    ReadApiKey: Operation(
        tag="API keys",
        summary="Read an API key",
        answers={200: Answer("The key, without its text.", ref("ApiKey"), examples.tenants.API_KEY)},
    ),
    RotateApiKey: Operation(
        tag="API keys",
        summary="Replace the text of an API key",
        body=Body("RotationRequest", {"Both work for a day": {"overlap_seconds": 86_400}}, is_required=False),
        answers={200: Answer("The key, with its new text.", ref("NewApiKey"), examples.tenants.NEW_API_KEY)},
        errors=("conflict",),
    ),
    RevokeApiKey: Operation(
        tag="API keys",
        summary="Revoke an API key",
        description="No process takes it from now on. It stays in the list.",
        answers={204: Answer("It is over.")},
        errors=BODY_ERRORS,
    ),
}
