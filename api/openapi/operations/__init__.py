"""What each operation class of the API is to its clients. An operation that is missing here stops the document."""

from __future__ import annotations

from api.docs.views import ReadAsset, ReadDocs
from api.openapi.declaration import Operation
from api.openapi.operations.api_keys import API_KEY_OPERATIONS
from api.openapi.operations.bulk_actions import BULK_ACTION_OPERATIONS
from api.openapi.operations.completions import COMPLETION_OPERATIONS
from api.openapi.operations.job_types import JOB_TYPE_OPERATIONS
from api.openapi.operations.jobs import JOB_OPERATIONS
from api.openapi.operations.queues import QUEUE_OPERATIONS
from api.openapi.operations.service import SERVICE_OPERATIONS
from api.openapi.operations.statistics import STATISTICS_OPERATIONS
from api.openapi.operations.tenant import TENANT_OPERATIONS
from api.openapi.operations.webhook_endpoints import WEBHOOK_ENDPOINT_OPERATIONS
from api.views import ApiView

OPERATIONS: dict[type[ApiView], Operation] = {
    **JOB_OPERATIONS,
    **BULK_ACTION_OPERATIONS,
    **COMPLETION_OPERATIONS,
    **JOB_TYPE_OPERATIONS,
    **QUEUE_OPERATIONS,
    **WEBHOOK_ENDPOINT_OPERATIONS,
    **STATISTICS_OPERATIONS,
    **API_KEY_OPERATIONS,
    **TENANT_OPERATIONS,
    **SERVICE_OPERATIONS,
}

# Pages that show the document to people are no part of it.
PAGES: frozenset[type[ApiView]] = frozenset({ReadDocs, ReadAsset})

TAGS: dict[str, str] = {
    "Jobs": "Submit work, and follow it.",
    "Later ends": "For an endpoint that answered 202 with `Job-Completion: async`: say what the run came to. The "
    "address is the `Job-Complete-Url` of its `job.run`; no key is needed.",
    "Job types": "What work there is, and who does it.",
    "Queues": "In which lines jobs wait, and how fast each moves.",
    "Webhooks": "Who is told of what happens, and how that was taken.",
    "Statistics": "What happened, counted by time, and which errors are the same.",
    "API keys": "Who may act for the tenant, and how far.",
    "Tenant": "What belongs to the tenant itself.",
    "Service": "The service's own state and description; no key is needed.",
}
