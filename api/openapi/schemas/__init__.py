"""The schemas of everything that the API takes and answers, as JSON Schema 2020-12, by the names of the document."""

from __future__ import annotations

from typing import Any

from api.openapi.schemas.api_keys import API_KEY_SCHEMAS
from api.openapi.schemas.bulk_actions import BULK_ACTION_SCHEMAS
from api.openapi.schemas.bulk_jobs import BULK_SCHEMAS
from api.openapi.schemas.completions import COMPLETION_SCHEMAS
from api.openapi.schemas.events import EVENT_SCHEMAS
from api.openapi.schemas.job_types import JOB_TYPE_SCHEMAS
from api.openapi.schemas.jobs import JOB_SCHEMAS
from api.openapi.schemas.problems import PROBLEM_SCHEMAS
from api.openapi.schemas.queues import QUEUE_SCHEMAS
from api.openapi.schemas.service import SERVICE_SCHEMAS
from api.openapi.schemas.signing import SIGNING_SCHEMAS
from api.openapi.schemas.statistics import STATISTICS_SCHEMAS
from api.openapi.schemas.tenant import TENANT_SCHEMAS
from api.openapi.schemas.timeline import TIMELINE_SCHEMAS
from api.openapi.schemas.webhook_endpoints import WEBHOOK_ENDPOINT_SCHEMAS

SCHEMAS: dict[str, Any] = {
    **JOB_SCHEMAS,
    **BULK_SCHEMAS,
    **BULK_ACTION_SCHEMAS,
    **TIMELINE_SCHEMAS,
    **COMPLETION_SCHEMAS,
    **JOB_TYPE_SCHEMAS,
    **QUEUE_SCHEMAS,
    **WEBHOOK_ENDPOINT_SCHEMAS,
    **SIGNING_SCHEMAS,
    **STATISTICS_SCHEMAS,
    **API_KEY_SCHEMAS,
    **TENANT_SCHEMAS,
    **EVENT_SCHEMAS,
    **SERVICE_SCHEMAS,
    **PROBLEM_SCHEMAS,
}
