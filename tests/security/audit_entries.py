"""What the audit log says of each operation of the API: the act that it writes down, or why it writes none.

A new operation that changes something, or shows something sealed, is added here.
"""

from __future__ import annotations

from collections.abc import Mapping

# Every operation that writes down an act, when it is called as `access_entries.py` says; with its query, where it is
# the query that asks for more than a plain read.
AUDITED: Mapping[str, str] = {
    "GET v1/jobs/<str:job_id>?include=payload,metadata": "job.parts-read",
    "GET v1/webhook-endpoints/<str:endpoint_id>/deliveries?include=answers": "endpoint.answers-read",
    "GET v1/signing-secrets/default": "signing-secret.read",
    "PATCH v1/jobs/<str:job_id>": "job.updated",
    "DELETE v1/jobs/<str:job_id>": "job.erased",
    "POST v1/jobs/<str:job_id>/cancel": "job.cancelled",
    "POST v1/jobs/<str:job_id>/retry": "job.retried",
    "POST v1/jobs/bulk-actions": "bulk-action.created",
    "POST v1/bulk-actions/<str:bulk_action_id>/abort": "bulk-action.aborted",
    "PUT v1/job-types/<str:name>": "job-type.updated",
    "DELETE v1/job-types/<str:name>": "job-type.deleted",
    "POST v1/job-types/<str:name>/rotate-secret": "job-type.secret-rotated",
    "PUT v1/queues/<str:queue>": "queue.updated",
    "PATCH v1/queues/<str:queue>": "queue.updated",
    "POST v1/queues/<str:queue>/pause": "queue.updated",
    "PATCH v1/error-groups/<str:error_group_id>": "error-group.updated",
    "POST v1/webhook-endpoints": "endpoint.created",
    "PATCH v1/webhook-endpoints/<str:endpoint_id>": "endpoint.updated",
    "DELETE v1/webhook-endpoints/<str:endpoint_id>": "endpoint.deleted",
    "POST v1/webhook-endpoints/<str:endpoint_id>/rotate-secret": "endpoint.secret-rotated",
    "POST v1/webhook-endpoints/<str:endpoint_id>/test": "endpoint.tested",
    "POST v1/webhook-endpoints/<str:endpoint_id>/replay": "bulk-action.created",
    "POST v1/deliveries/<str:delivery_id>/retry": "delivery.retried",
    "POST v1/signing-secrets/default/rotate": "signing-secret.rotated",
    "POST v1/api-keys": "api-key.created",
    "DELETE v1/api-keys/<str:key_id>": "api-key.revoked",
    "POST v1/api-keys/<str:key_id>/rotate": "api-key.rotated",
}

_RUNS = "a run's own report, which its attempt and the job's timeline keep"
_SUBMITS = "a submission: the job itself and its timeline tell of it, and no submission waits for another"
# Operations that change something and write no act down as `access_entries.py` calls them, and why.
UNAUDITED: Mapping[str, str] = {
    "POST v1/jobs": _SUBMITS,
    "POST v1/jobs/bulk": _SUBMITS,
    "POST v1/queues/<str:queue>/resume": "of a queue that is not paused it changes nothing; of others see the test",
    "POST v1/completions/<str:token>": _RUNS,
    "POST v1/completions/<str:token>/extend": _RUNS,
    "POST v1/completions/<str:token>/progress": _RUNS,
}

# Every act of a tenant's console, by its page, and what the log says of it.
CONSOLE: Mapping[str, str] = {
    "members/invite": "member.invited",
    "members/leave": "member.removed",
    "members/second-factor": "tenant.login-rule-updated",
    "members/<str:member>": "member.role-changed",
    "members/<str:member>/remove": "member.removed",
}

# The same for acts on jobs and queues. None: a submission, or a choice of a browser, which is no act of the log.
CONSOLE_SCREENS: Mapping[str, str | None] = {
    "jobs/test": None,
    "jobs/retry": "job.retried",
    "jobs/cancel": "job.cancelled",
    "jobs/erase": "job.erased",
    "jobs/<job_id>/retry": "job.retried",
    "jobs/<job_id>/cancel": "job.cancelled",
    "jobs/<job_id>/run": "job.updated",
    "jobs/<job_id>/erase": "job.erased",
    "jobs/<job_id>/reveal": "job.parts-read",
    "jobs/<job_id>/edit": "job.parts-read",
    "jobs/<job_id>/retry-edited": "job.followed",
    "jobs/<job_id>/deliveries/<delivery_id>/replay": "delivery.retried",
    "bulk-actions/<action_id>/abort": "bulk-action.aborted",
    "queues/<queue>": "queue.updated",
    "queues/<queue>/pause": "queue.updated",
    "queues/<queue>/resume": "queue.updated",
    "errors/<group_id>": "error-group.updated",
    "first-steps/hide": None,
}

# The same for keys, webhooks and settings.
CONSOLE_SETTINGS: Mapping[str, str] = {
    "keys/new": "api-key.created",
    "keys/<key_id>/rotate": "api-key.rotated",
    "keys/<key_id>/revoke": "api-key.revoked",
    "webhooks/new": "endpoint.created",
    "webhooks/<endpoint_id>/answers": "endpoint.answers-read",
    "webhooks/<endpoint_id>/edit": "endpoint.updated",
    "webhooks/<endpoint_id>/pause": "endpoint.updated",
    "webhooks/<endpoint_id>/enable": "endpoint.updated",
    "webhooks/<endpoint_id>/delete": "endpoint.deleted",
    "webhooks/<endpoint_id>/rotate": "endpoint.secret-rotated",
    "webhooks/<endpoint_id>/test": "endpoint.tested",
    "webhooks/<endpoint_id>/recover": "bulk-action.created",
    "webhooks/<endpoint_id>/deliveries/<delivery_id>/resend": "delivery.retried",
    "settings/secret": "signing-secret.read",
    "settings/secret/rotate": "signing-secret.rotated",
}

# The same for operators of the installation. None: of no tenant.
CONSOLE_OPERATOR: Mapping[str, str | None] = {
    "operator/health/examine": None,
    "operator/visit/end": "tenant.visit-ended",
    "operator/tenants/<tenant_id>/limits": "tenant.updated",
    "operator/tenants/<tenant_id>/suspend": "tenant.suspended",
    "operator/tenants/<tenant_id>/resume": "tenant.resumed",
    "operator/tenants/<tenant_id>/visit": "tenant.visit-begun",
}
