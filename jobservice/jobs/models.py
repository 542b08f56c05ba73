"""Jobs, their types, queues and lanes, and the workers. The tables, their rules and their indexes are stated in
`sql/schema.sql`; these classes only read and write them.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Pool(models.Model):
    name = models.TextField(primary_key=True)
    vtime = models.FloatField(default=0)

    class Meta:
        db_table = "pool"


class Worker(models.Model):
    id = models.UUIDField(primary_key=True)
    pool = models.TextField()
    host = models.TextField()
    pid = models.IntegerField()
    version = models.TextField()
    slots = models.IntegerField()
    jobs_per_slot = models.IntegerField(default=1)
    run_times = models.JSONField(default=dict)
    busy_slots = models.IntegerField(null=True)
    is_draining = models.BooleanField(default=False)
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "worker"


class JobType(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    name = models.TextField()
    executor = models.TextField()
    http_sealed = models.BinaryField(null=True)
    handler = models.TextField(null=True)
    payload_schema = models.JSONField(null=True)
    defaults = models.JSONField(default=dict)
    on_crash = models.TextField(default="retry")
    scheme = models.TextField(default="v1")
    has_own_secret = models.BooleanField(default=False)
    secret_rotated_at = models.DateTimeField(null=True)
    disabled_at = models.DateTimeField(null=True)
    disabled_reason = models.TextField(null=True)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "job_type"


class Queue(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    name = models.TextField()
    concurrency = models.IntegerField(null=True)
    key_concurrency = models.IntegerField(default=1)
    rate = models.JSONField(null=True)
    paused_at = models.DateTimeField(null=True)
    paused_by_type = models.TextField(null=True)
    paused_by_id = models.TextField(null=True)
    paused_reason = models.TextField(null=True)
    retention_days = models.IntegerField(null=True)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "queue"


class Share(models.Model):
    pk = models.CompositePrimaryKey("tenant_id", "pool")
    tenant_id = models.UUIDField()
    pool = models.TextField()
    is_active = models.BooleanField(default=True)
    blocked_by = models.TextField(null=True)
    vtime = models.FloatField(default=0)
    lane_vtime = models.FloatField(default=0)
    is_drained = models.BooleanField(default=True)

    class Meta:
        db_table = "share"


class Lane(models.Model):
    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField()
    queue = models.TextField()
    pool = models.TextField()
    is_active = models.BooleanField(default=True)
    blocked_until = models.DateTimeField(null=True)
    blocked_by = models.TextField(null=True)
    weight = models.IntegerField(default=1)
    vtime = models.FloatField(default=0)
    served_at = models.DateTimeField(db_default=Now())
    is_drained = models.BooleanField(default=True)

    class Meta:
        db_table = "lane"


class EndpointThrottle(models.Model):
    pk = models.CompositePrimaryKey("tenant_id", "type")
    tenant_id = models.UUIDField()
    type = models.TextField()
    type_version = models.IntegerField()
    until = models.DateTimeField()
    batch = models.IntegerField()
    let_go_at = models.DateTimeField()

    class Meta:
        db_table = "endpoint_throttle"


class Job(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    version = models.SmallIntegerField(default=1)
    type = models.TextField()
    executor = models.TextField()
    handler = models.TextField(null=True)
    queue = models.TextField()
    pool = models.TextField()
    priority = models.SmallIntegerField()
    max_attempts = models.SmallIntegerField()
    timeout_seconds = models.IntegerField()
    retry = models.JSONField()
    tags = models.JSONField(default=dict)
    payload_id = models.UUIDField()
    payload_bytes = models.IntegerField()
    metadata_id = models.UUIDField(null=True)
    callback_id = models.UUIDField(null=True)
    unique_hash = models.BinaryField(null=True)
    unique_while = models.TextField(null=True)
    concurrency_hash = models.BinaryField(null=True)
    traceparent = models.TextField(null=True)
    on_crash = models.TextField(default="retry")
    run_at = models.DateTimeField()
    start_deadline_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    final_state = models.TextField(null=True)
    finished_at = models.DateTimeField(null=True)
    available_at = models.DateTimeField(null=True)
    dispatched_at = models.DateTimeField(null=True)
    first_started_at = models.DateTimeField(null=True)
    last_started_at = models.DateTimeField(null=True)
    attempt = models.IntegerField(default=0)
    crash_count = models.IntegerField(default=0)
    epoch = models.BigIntegerField(default=0)
    result_id = models.UUIDField(null=True)
    error_code = models.TextField(null=True)
    error_id = models.UUIDField(null=True)
    error_epoch = models.BigIntegerField(null=True)
    end_event_id = models.UUIDField(null=True)
    retry_of = models.UUIDField(null=True)

    class Meta:
        db_table = "job"


class LiveJob(models.Model):
    job_id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    lane_id = models.BigIntegerField()
    pool = models.TextField()
    type = models.TextField()
    state = models.TextField()
    rank = models.DateTimeField()
    priority = models.SmallIntegerField()
    due_at = models.DateTimeField()
    available_at = models.DateTimeField(null=True)
    dispatched_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    first_started_at = models.DateTimeField(null=True)
    epoch = models.BigIntegerField(default=0)
    attempt = models.IntegerField(default=0)
    crash_count = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    worker_id = models.UUIDField(null=True)
    group_id = models.UUIDField(null=True)
    cancel_requested = models.BooleanField(default=False)
    start_deadline_at = models.DateTimeField(null=True)
    is_async = models.BooleanField(default=False)
    concurrency_hash = models.BinaryField(null=True)
    is_parked = models.BooleanField(default=False)
    is_throttled = models.BooleanField(default=False)
    progress_percent = models.FloatField(null=True)
    progress_id = models.UUIDField(null=True)
    log_id = models.UUIDField(null=True)
    suspended_reason = models.TextField(null=True)
    error_code = models.TextField(null=True)
    error_id = models.UUIDField(null=True)
    error_epoch = models.BigIntegerField(null=True)

    class Meta:
        db_table = "job_live"


class Attempt(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    job_id = models.UUIDField()
    number = models.IntegerField()
    epoch = models.BigIntegerField()
    worker_id = models.UUIDField(null=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    outcome = models.TextField()
    error_code = models.TextField(null=True)
    error_id = models.UUIDField(null=True)
    result_id = models.UUIDField(null=True)
    progress_percent = models.FloatField(null=True)
    progress_id = models.UUIDField(null=True)
    log_id = models.UUIDField(null=True)

    class Meta:
        db_table = "attempt"


class JobTag(models.Model):
    pk = models.CompositePrimaryKey("job_id", "name")
    tenant_id = models.UUIDField()
    job_id = models.UUIDField()
    name = models.TextField()
    value = models.TextField()

    class Meta:
        db_table = "job_tag"


class UniqueClaim(models.Model):
    pk = models.CompositePrimaryKey("tenant_id", "hash")
    tenant_id = models.UUIDField()
    hash = models.BinaryField()
    job_id = models.UUIDField()
    expires_at = models.DateTimeField(null=True)
    held_while = models.TextField(null=True)

    class Meta:
        db_table = "unique_claim"


class IdempotencyKey(models.Model):
    pk = models.CompositePrimaryKey("tenant_id", "hash")
    tenant_id = models.UUIDField()
    hash = models.BinaryField()
    fingerprint = models.BinaryField()
    status = models.SmallIntegerField()
    answer_sealed = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "idempotency_key"


class BulkAction(models.Model):
    """Over jobs; with an `endpoint_id` over deliveries to it, of which `last_job_id` and `position` are ids then."""

    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    action = models.TextField()
    filter = models.JSONField()
    queues = ArrayField(models.TextField(), null=True)
    endpoint_id = models.UUIDField(null=True)
    max_jobs = models.IntegerField()
    status = models.TextField(default="running")
    matched = models.IntegerField()
    done = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0)
    last_job_id = models.UUIDField(null=True)
    position = models.UUIDField(null=True)
    holder = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    served_at = models.DateTimeField(db_default=Now())
    stalls = models.SmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "bulk_action"


class ErrorGroup(models.Model):
    """Failed runs with the same fingerprint, which is the id."""

    pk = models.CompositePrimaryKey("tenant_id", "id")
    tenant_id = models.UUIDField()
    id = models.UUIDField()
    type = models.TextField()
    code = models.TextField()
    message_sealed = models.BinaryField(null=True)
    state = models.TextField(default="open")
    state_changed_at = models.DateTimeField(null=True)
    runs = models.BigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        db_table = "error_group"
