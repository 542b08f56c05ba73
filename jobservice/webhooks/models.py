"""Events and their deliveries. The tables, their rules and their indexes are stated in `sql/schema.sql`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Event(models.Model):
    """Of a job, or of the tenant alone: then `details` is all there is to tell."""

    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    job_id = models.UUIDField(null=True)
    version = models.SmallIntegerField(default=1)
    type = models.TextField()
    at = models.DateTimeField(db_default=Now())
    job = models.JSONField(null=True)
    epoch = models.BigIntegerField(null=True)
    result_id = models.UUIDField(null=True)
    error_id = models.UUIDField(null=True)
    metadata_id = models.UUIDField(null=True)
    details = models.JSONField(null=True)

    class Meta:
        db_table = "event"


class Delivery(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    event_id = models.UUIDField()
    job_id = models.UUIDField(null=True)
    callback_id = models.UUIDField(null=True)
    endpoint_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    final_state = models.TextField(null=True)
    finished_at = models.DateTimeField(null=True)
    epoch = models.BigIntegerField(null=True)
    attempts = models.IntegerField(null=True)

    class Meta:
        db_table = "delivery"


class LiveDelivery(models.Model):
    delivery_id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    endpoint_id = models.UUIDField(null=True)
    state = models.TextField(default="pending")
    due_at = models.DateTimeField(db_default=Now())
    epoch = models.BigIntegerField(default=0)
    attempt = models.IntegerField(default=0)
    earlier_attempts = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    worker_id = models.UUIDField(null=True)

    class Meta:
        db_table = "delivery_live"


class DeliveryAttempt(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    delivery_id = models.UUIDField()
    event_id = models.UUIDField()
    job_id = models.UUIDField(null=True)
    number = models.IntegerField()
    at = models.DateTimeField(db_default=Now())
    duration_ms = models.IntegerField()
    status = models.SmallIntegerField(null=True)
    error_class = models.TextField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    answer_id = models.UUIDField(null=True)

    class Meta:
        db_table = "delivery_attempt"


class WebhookEndpoint(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    url_sealed = models.BinaryField()
    headers_sealed = models.BinaryField(null=True)
    events = ArrayField(models.TextField())
    queues = ArrayField(models.TextField(), null=True)
    types = ArrayField(models.TextField(), null=True)
    scheme = models.TextField(default="v1")
    has_own_secret = models.BooleanField(default=False)
    status = models.TextField(default="enabled")
    status_reason = models.TextField(null=True)
    failing_since = models.DateTimeField(null=True)
    revision = models.BigIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "webhook_endpoint"
