"""Endpoints of a tenant, events without a job, and deliveries that are held while their endpoint takes none."""

from pathlib import Path
from typing import ClassVar

import django.db.models.functions.datetime
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from tenants.rls import grant, protect_table, refuse_erased, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

DATABASE = [
    run_sql_file(SQL / "endpoints.sql"),
    protect_table(
        "webhook_endpoint",
        web="SELECT, INSERT, UPDATE, DELETE",
        worker="SELECT, UPDATE (status, status_reason, failing_since, revision, updated_at)",
        # Nothing sealed: whom to tell of what, and whether it takes any.
        dispatcher="SELECT (id, tenant_id, events, queues, types, status)",
    ),
    refuse_erased("webhook_endpoint"),
    # A secret goes with its endpoint, and when its successor signs alone.
    grant("signing_secret", web="DELETE"),
    grant("delivery", web="UPDATE (final_state, finished_at)", worker="UPDATE (epoch, attempts)"),
]

_NOW = django.db.models.functions.datetime.Now()
STATE = [
    migrations.CreateModel(
        name="WebhookEndpoint",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("url_sealed", models.BinaryField()),
            ("headers_sealed", models.BinaryField(null=True)),
            ("events", ArrayField(models.TextField())),
            ("queues", ArrayField(models.TextField(), null=True)),
            ("types", ArrayField(models.TextField(), null=True)),
            ("scheme", models.TextField(default="v1")),
            ("has_own_secret", models.BooleanField(default=False)),
            ("status", models.TextField(default="enabled")),
            ("status_reason", models.TextField(null=True)),
            ("failing_since", models.DateTimeField(null=True)),
            ("revision", models.BigIntegerField(default=1)),
            ("created_at", models.DateTimeField(db_default=_NOW)),
            ("updated_at", models.DateTimeField(db_default=_NOW)),
        ],
        options={"db_table": "webhook_endpoint"},
    ),
    migrations.AlterField("event", "job_id", models.UUIDField(null=True)),
    migrations.AlterField("event", "job", models.JSONField(null=True)),
    migrations.AlterField("event", "epoch", models.BigIntegerField(null=True)),
    migrations.AlterField("delivery", "job_id", models.UUIDField(null=True)),
    migrations.AlterField("delivery", "callback_id", models.UUIDField(null=True)),
    migrations.AddField("delivery", "endpoint_id", models.UUIDField(null=True)),
    migrations.AddField("delivery", "epoch", models.BigIntegerField(null=True)),
    migrations.AddField("delivery", "attempts", models.IntegerField(null=True)),
    migrations.AlterField("deliveryattempt", "job_id", models.UUIDField(null=True)),
    migrations.AddField("deliveryattempt", "answer_id", models.UUIDField(null=True)),
    migrations.AddField("livedelivery", "endpoint_id", models.UUIDField(null=True)),
    migrations.AddField("livedelivery", "earlier_attempts", models.IntegerField(default=0)),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("webhooks", "0002_event_details"), ("tenants", "0005_refresh_statistics")]
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
