"""A job as one row."""

from __future__ import annotations

import uuid

from django.db import models


class Task(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    type = models.CharField(max_length=100)
    payload = models.JSONField(null=True)
    callback_url = models.TextField(null=True)
    state = models.CharField(max_length=20, default="waiting")
    result = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects: models.Manager[Task] = models.Manager()

    class Meta:
        app_label = "drf_service"
        db_table = "task"
