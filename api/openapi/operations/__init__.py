"""What each operation class of the API is to its clients. An operation that is missing here stops the document."""

from __future__ import annotations

from api.docs.views import ReadAsset, ReadDocs
from api.openapi.declaration import Operation
from api.openapi.operations.api_keys import API_KEY_OPERATIONS
from api.openapi.operations.job_types import JOB_TYPE_OPERATIONS
from api.openapi.operations.jobs import JOB_OPERATIONS
from api.openapi.operations.service import SERVICE_OPERATIONS
from api.openapi.operations.tenant import TENANT_OPERATIONS
from api.views import ApiView

OPERATIONS: dict[type[ApiView], Operation] = {
    **JOB_OPERATIONS,
    **JOB_TYPE_OPERATIONS,
    **API_KEY_OPERATIONS,
    **TENANT_OPERATIONS,
    **SERVICE_OPERATIONS,
}

# Pages that show the document to people are no part of it.
PAGES: frozenset[type[ApiView]] = frozenset({ReadDocs, ReadAsset})

TAGS: dict[str, str] = {
    "Jobs": "Submit work, and follow it.",
    "Job types": "What work there is, and who does it.",
    "API keys": "Who may act for the tenant, and how far.",
    "Tenant": "What belongs to the tenant itself.",
    "Service": "The service's own state and description; no key is needed.",
}
