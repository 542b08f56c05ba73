"""Schemas of signatures: what receivers verify the service's requests with (Standard Webhooks)."""

from __future__ import annotations

from typing import Any

from api.openapi.declaration import nullable
from api.openapi.schemas.values import TIME, answered, described, integer, written
from jobservice.webhooks.signing_choice import PUBLIC_KEY, SCHEMES
from tenants.api_key_changes import MAX_OVERLAP_SECONDS

_SECRET: dict[str, Any] = {"type": "string", "pattern": "^whsec_[0-9A-Za-z+/]+={0,2}$"}
_PUBLIC_KEY: dict[str, Any] = {"type": "string", "pattern": f"^{PUBLIC_KEY.pattern}$"}
_SCHEME = described(
    {"type": "string", "enum": list(SCHEMES)},
    "`v1`: HMAC-SHA256 under a secret that both sides hold; `v1a`: Ed25519, and the receiver holds a public key.",
)
_OWN = described({"type": "boolean"}, "Whether it has a secret of its own, or signs with the tenant's default one.")
_AS_A_WHOLE = (
    "It is replaced as a whole: what is not given is `v1`, and not own. A secret of its own stays only while both do."
)

SIGNING_SCHEMAS: dict[str, Any] = {
    "EndpointSigning": written(
        {"scheme": nullable(_SCHEME), "own": nullable(_OWN)},
        description=f"How events are signed (Standard Webhooks). {_AS_A_WHOLE}",
    ),
    "JobTypeSigning": written(
        {
            "scheme": nullable(_SCHEME),
            "own": nullable(_OWN),
            "public_key": described(
                nullable(_PUBLIC_KEY), "Only shown: what is shown of a type can be sent back, and this changes nothing."
            ),
        },
        description=f"How calls are signed (Standard Webhooks). {_AS_A_WHOLE}",
    ),
    "ShownSigning": answered(
        {
            "scheme": _SCHEME,
            "own": _OWN,
            "public_key": described(nullable(_PUBLIC_KEY), "What `v1a` signatures are verified with; null for `v1`."),
            "secret": described(_SECRET, "A new `v1` secret of its own. Shown this once."),
        },
        optional=("secret",),
        description="How requests to the receiver are signed.",
    ),
    "SecretRotationRequest": written(
        {
            "overlap_seconds": described(
                nullable(integer(0, MAX_OVERLAP_SECONDS)),
                "How long the secret until now signs beside the new one. A day unless given.",
            )
        },
        description="How to replace a signing secret.",
    ),
    "SigningSecret": answered(
        {
            "secret": described(_SECRET, "What `v1` signatures are verified with."),
            "public_key": described(_PUBLIC_KEY, "What `v1a` signatures of it are verified with."),
            "previous_valid_until": described(nullable(TIME), "Until then the secret before this one signs as well."),
        },
        description="What receivers verify the service's requests with (Standard Webhooks).",
    ),
}
