"""Which page stands at which address: the screens of a tenant and of the operators, and the acts on them."""

from __future__ import annotations

from tenants.console.access import ConsoleView
from tenants.console.audit import AuditLog
from tenants.console.audit_export import ExportAuditLog
from tenants.console.bulk_action import AbortBulkAction, BulkActionPage, BulkActionProgress
from tenants.console.endpoint_acts import (
    DeleteEndpoint,
    EditEndpoint,
    EnableEndpoint,
    MakeEndpoint,
    PauseEndpoint,
    RecoverDeliveries,
    ResendDelivery,
    RotateSecret,
    SendTestEvent,
)
from tenants.console.endpoints import EndpointDeliveries, EndpointList, EndpointPage, EventCatalogue, RevealAnswers
from tenants.console.errors import ErrorList, ErrorPage, ErrorRows
from tenants.console.first_steps import HideFirstSteps
from tenants.console.inbox import Inbox, InboxRows
from tenants.console.job import JobBeside, JobLive, JobPage, JobPageJson
from tenants.console.job_act import CancelJob, EraseJob, ReplayDelivery, RetryJob, RevealParts, RunJobNow
from tenants.console.job_acts import CancelJobs, EraseJobs, RetryJobs, SendTestJob
from tenants.console.job_edit import EditPayload, RetryEdited
from tenants.console.jobs import JobList, JobListJson, JobRows, JobTabs
from tenants.console.keys import KeyList, MakeKey, RevokeKey, RotateKey
from tenants.console.operator_health import ExamineHealth, OperatorHealth, OperatorHealthChecks
from tenants.console.operator_tenant import ChangeTenantLimits, OperatorTenant, ResumeTenant, SuspendTenant
from tenants.console.operator_tenants import OperatorTenantRows, OperatorTenants
from tenants.console.operator_visit import BeginVisit, EndVisit
from tenants.console.overview import Overview, OverviewBoard, OverviewFigures
from tenants.console.preferences import Preferences
from tenants.console.queue_pause import PauseQueue, ResumeQueue
from tenants.console.queues import QueueList, QueueNow, QueuePage, QueueRows
from tenants.console.settings import RevealSecret, RotateDefaultSecret, SettingsPage
from tenants.console.usage import Usage, UsageQuotas
from tenants.console.workers import WorkerList, WorkerRows

SCREENS: tuple[tuple[str, type[ConsoleView]], ...] = (
    ("jobs", JobList),
    ("jobs/rows", JobRows),
    ("jobs/tabs", JobTabs),
    ("jobs/json", JobListJson),
    ("jobs/test", SendTestJob),
    ("jobs/retry", RetryJobs),
    ("jobs/cancel", CancelJobs),
    ("jobs/erase", EraseJobs),
    ("jobs/<job_id>", JobPage),
    ("jobs/<job_id>/live", JobLive),
    ("jobs/<job_id>/beside", JobBeside),
    ("jobs/<job_id>/json", JobPageJson),
    ("jobs/<job_id>/retry", RetryJob),
    ("jobs/<job_id>/cancel", CancelJob),
    ("jobs/<job_id>/run", RunJobNow),
    ("jobs/<job_id>/erase", EraseJob),
    ("jobs/<job_id>/reveal", RevealParts),
    ("jobs/<job_id>/edit", EditPayload),
    ("jobs/<job_id>/retry-edited", RetryEdited),
    ("jobs/<job_id>/deliveries/<delivery_id>/replay", ReplayDelivery),
    ("bulk-actions/<action_id>", BulkActionPage),
    ("bulk-actions/<action_id>/progress", BulkActionProgress),
    ("bulk-actions/<action_id>/abort", AbortBulkAction),
    ("queues", QueueList),
    # Capitals: no name of a queue.
    ("queues/ROWS", QueueRows),
    ("queues/<queue>", QueuePage),
    ("queues/<queue>/now", QueueNow),
    ("queues/<queue>/pause", PauseQueue),
    ("queues/<queue>/resume", ResumeQueue),
    ("preferences", Preferences),
    ("errors", ErrorList),
    ("errors/rows", ErrorRows),
    ("errors/<group_id>", ErrorPage),
    ("overview", Overview),
    ("overview/figures", OverviewFigures),
    ("overview/board", OverviewBoard),
    ("first-steps/hide", HideFirstSteps),
    ("usage", Usage),
    ("usage/quotas", UsageQuotas),
    ("keys", KeyList),
    ("keys/new", MakeKey),
    ("keys/<key_id>/rotate", RotateKey),
    ("keys/<key_id>/revoke", RevokeKey),
    ("webhooks", EndpointList),
    ("webhooks/new", MakeEndpoint),
    ("webhooks/events", EventCatalogue),
    ("webhooks/<endpoint_id>", EndpointPage),
    ("webhooks/<endpoint_id>/deliveries", EndpointDeliveries),
    ("webhooks/<endpoint_id>/answers", RevealAnswers),
    ("webhooks/<endpoint_id>/edit", EditEndpoint),
    ("webhooks/<endpoint_id>/pause", PauseEndpoint),
    ("webhooks/<endpoint_id>/enable", EnableEndpoint),
    ("webhooks/<endpoint_id>/delete", DeleteEndpoint),
    ("webhooks/<endpoint_id>/rotate", RotateSecret),
    ("webhooks/<endpoint_id>/test", SendTestEvent),
    ("webhooks/<endpoint_id>/recover", RecoverDeliveries),
    ("webhooks/<endpoint_id>/deliveries/<delivery_id>/resend", ResendDelivery),
    ("workers", WorkerList),
    ("workers/rows", WorkerRows),
    ("inbox", Inbox),
    ("inbox/rows", InboxRows),
    ("audit", AuditLog),
    ("audit/export", ExportAuditLog),
    ("settings", SettingsPage),
    ("settings/secret", RevealSecret),
    ("settings/secret/rotate", RotateDefaultSecret),
    ("operator", OperatorTenants),
    ("operator/rows", OperatorTenantRows),
    ("operator/health", OperatorHealth),
    ("operator/health/checks", OperatorHealthChecks),
    ("operator/health/examine", ExamineHealth),
    ("operator/visit/end", EndVisit),
    ("operator/tenants/<tenant_id>", OperatorTenant),
    ("operator/tenants/<tenant_id>/limits", ChangeTenantLimits),
    ("operator/tenants/<tenant_id>/suspend", SuspendTenant),
    ("operator/tenants/<tenant_id>/resume", ResumeTenant),
    ("operator/tenants/<tenant_id>/visit", BeginVisit),
)
