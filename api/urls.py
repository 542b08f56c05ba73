"""The API's addresses: one line per address, one operation class per method."""

from django.urls import path

from api.api_keys import ListApiKeys, MakeApiKey, ReadApiKey, RevokeApiKey, RotateApiKey
from api.audit_events import ListAuditEvents
from api.bulk_actions import AbortBulkAction, ListBulkActions, MakeBulkAction, ReadBulkAction, ReplayDeliveries
from api.bulk_jobs import SubmitJobs
from api.completions import CompleteRun, ExtendRun, ReportProgress
from api.deliveries import ListDeliveries, RetryDelivery
from api.docs.views import ReadAsset, ReadDocs
from api.error_groups import ChangeErrorGroup, ListErrorGroups, ReadErrorGroup
from api.event_types import ListEventTypes
from api.health import Health, Readiness
from api.job_types import DeleteJobType, ListJobTypes, PutJobType, ReadJobType, RotateTypeSecret
from api.jobs import CancelJob, ChangeJob, EraseJob, ListAttempts, ListJobEvents, ListJobs, ReadJob, RetryJob, SubmitJob
from api.metrics import ReadMetrics
from api.openapi.views import ReadDocument
from api.problem_pages import ReadProblemPage
from api.queues import ChangeQueue, ListQueues, PauseQueue, PutQueue, ReadQueue, ResumeQueue
from api.signing_secrets import ReadDefaultSecret, RotateDefaultSecret
from api.statistics import ReadStatistics
from api.tenant import ReadTenant, ReadUsage
from api.views import by_method
from api.webhook_endpoints import (
    ChangeWebhookEndpoint,
    DeleteWebhookEndpoint,
    ListWebhookEndpoints,
    MakeWebhookEndpoint,
    ReadWebhookEndpoint,
    RotateEndpointSecret,
    SendTestEvent,
)

urlpatterns = [
    path("v1/jobs", by_method(GET=ListJobs, POST=SubmitJob)),
    path("v1/jobs/bulk", by_method(POST=SubmitJobs)),
    path("v1/jobs/bulk-actions", by_method(POST=MakeBulkAction)),
    path("v1/jobs/<str:job_id>", by_method(GET=ReadJob, PATCH=ChangeJob, DELETE=EraseJob)),
    path("v1/jobs/<str:job_id>/cancel", by_method(POST=CancelJob)),
    path("v1/jobs/<str:job_id>/retry", by_method(POST=RetryJob)),
    path("v1/jobs/<str:job_id>/attempts", by_method(GET=ListAttempts)),
    path("v1/jobs/<str:job_id>/events", by_method(GET=ListJobEvents)),
    path("v1/bulk-actions", by_method(GET=ListBulkActions)),
    path("v1/bulk-actions/<str:bulk_action_id>", by_method(GET=ReadBulkAction)),
    path("v1/bulk-actions/<str:bulk_action_id>/abort", by_method(POST=AbortBulkAction)),
    path("v1/completions/<str:token>", by_method(POST=CompleteRun)),
    path("v1/completions/<str:token>/extend", by_method(POST=ExtendRun)),
    path("v1/completions/<str:token>/progress", by_method(POST=ReportProgress)),
    path("v1/job-types", by_method(GET=ListJobTypes)),
    path("v1/job-types/<str:name>", by_method(GET=ReadJobType, PUT=PutJobType, DELETE=DeleteJobType)),
    path("v1/job-types/<str:name>/rotate-secret", by_method(POST=RotateTypeSecret)),
    path("v1/queues", by_method(GET=ListQueues)),
    path("v1/queues/<str:queue>", by_method(GET=ReadQueue, PUT=PutQueue, PATCH=ChangeQueue)),
    path("v1/queues/<str:queue>/pause", by_method(POST=PauseQueue)),
    path("v1/queues/<str:queue>/resume", by_method(POST=ResumeQueue)),
    path("v1/statistics", by_method(GET=ReadStatistics)),
    path("v1/error-groups", by_method(GET=ListErrorGroups)),
    path("v1/error-groups/<str:error_group_id>", by_method(GET=ReadErrorGroup, PATCH=ChangeErrorGroup)),
    path("v1/webhook-endpoints", by_method(GET=ListWebhookEndpoints, POST=MakeWebhookEndpoint)),
    path(
        "v1/webhook-endpoints/<str:endpoint_id>",
        by_method(GET=ReadWebhookEndpoint, PATCH=ChangeWebhookEndpoint, DELETE=DeleteWebhookEndpoint),
    ),
    path("v1/webhook-endpoints/<str:endpoint_id>/rotate-secret", by_method(POST=RotateEndpointSecret)),
    path("v1/webhook-endpoints/<str:endpoint_id>/test", by_method(POST=SendTestEvent)),
    path("v1/webhook-endpoints/<str:endpoint_id>/deliveries", by_method(GET=ListDeliveries)),
    path("v1/webhook-endpoints/<str:endpoint_id>/replay", by_method(POST=ReplayDeliveries)),
    path("v1/deliveries/<str:delivery_id>/retry", by_method(POST=RetryDelivery)),
    path("v1/event-types", by_method(GET=ListEventTypes)),
    path("v1/signing-secrets/default", by_method(GET=ReadDefaultSecret)),
    path("v1/signing-secrets/default/rotate", by_method(POST=RotateDefaultSecret)),
    path("v1/api-keys", by_method(GET=ListApiKeys, POST=MakeApiKey)),
    path("v1/api-keys/<str:key_id>", by_method(GET=ReadApiKey, DELETE=RevokeApiKey)),
    path("v1/api-keys/<str:key_id>/rotate", by_method(POST=RotateApiKey)),
    path("v1/audit-events", by_method(GET=ListAuditEvents)),
    path("v1/tenant", by_method(GET=ReadTenant)),
    path("v1/usage", by_method(GET=ReadUsage)),
    path("healthz", by_method(GET=Health)),
    path("readyz", by_method(GET=Readiness)),
    path("metrics", by_method(GET=ReadMetrics)),
    path("v1/openapi.json", by_method(GET=ReadDocument)),
    path("docs", by_method(GET=ReadDocs)),
    path("docs/assets/<str:name>", by_method(GET=ReadAsset)),
    path("docs/problems/<str:code>", by_method(GET=ReadProblemPage)),
]
