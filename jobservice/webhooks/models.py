"""Events and their deliveries. The tables, their rules and their indexes are stated in `sql/schema.sql`."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Event(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    job_id = models.UUIDField()
    version = models.SmallIntegerField(default=1)
    type = models.TextField()
    at = models.DateTimeField(db_default=Now())
    job = models.JSONField()
    epoch = models.BigIntegerField()
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
    job_id = models.UUIDField()
    callback_id = models.UUIDField()
    created_at = models.DateTimeField(db_default=Now())
    final_state = models.TextField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "delivery"


class LiveDelivery(models.Model):
    delivery_id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    state = models.TextField(default="pending")
    due_at = models.DateTimeField(db_default=Now())
    epoch = models.BigIntegerField(default=0)
    attempt = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    worker_id = models.UUIDField(null=True)

    class Meta:
        db_table = "delivery_live"


class DeliveryAttempt(models.Model):
    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField()
    delivery_id = models.UUIDField()
    event_id = models.UUIDField()
    job_id = models.UUIDField()
    number = models.IntegerField()
    at = models.DateTimeField(db_default=Now())
    duration_ms = models.IntegerField()
    status = models.SmallIntegerField(null=True)
    error_class = models.TextField(null=True)
    next_attempt_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "delivery_attempt"
