"""Where the console shows a webhook endpoint."""

from __future__ import annotations

from jobservice.ids import ENDPOINT, show_id
from jobservice.webhooks.endpoints import EndpointView


def path_of(endpoint: EndpointView) -> str:
    return f"/console/webhooks/{show_id(ENDPOINT, endpoint.id)}"
