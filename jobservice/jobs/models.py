"""Jobs, their types, queues and lanes, and the workers. The tables, their rules and their indexes are stated in
`sql/schema.sql`; these classes only read and write them.
"""

from __future__ import annotations

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
    retention_days = models.IntegerField(null=True)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "queue"


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

    class Meta:
        db_table = "lane"


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
    concurrency_hash = models.BinaryField(null=True)
    traceparent = models.TextField(null=True)
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
