"""The tables of this app, their rules, and who may touch them."""

from pathlib import Path
from typing import ClassVar

import django.db.models.functions.datetime
from django.db import migrations, models

from tenants.rls import grant, make_partitions, protect_table, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

DATABASE = [
    run_sql_file(SQL / "schema.sql"),
    grant("pool", web="SELECT", worker="SELECT", dispatcher="SELECT, UPDATE (vtime)"),
    grant("worker", worker="SELECT, INSERT, UPDATE, DELETE", web="SELECT", dispatcher="SELECT, DELETE"),
    protect_table("job_type", web="SELECT, INSERT, UPDATE, DELETE", worker="SELECT"),
    protect_table("queue", web="SELECT, INSERT, UPDATE", dispatcher="SELECT"),
    protect_table(
        "lane",
        web="SELECT, INSERT, UPDATE (is_active, vtime)",
        worker="SELECT, UPDATE (is_active, vtime)",
        dispatcher="SELECT, UPDATE",
    ),
    protect_table("job", web="SELECT, INSERT, UPDATE", worker="SELECT, UPDATE", dispatcher="SELECT, UPDATE"),
    protect_table(
        "job_live",
        web="SELECT, INSERT, UPDATE, DELETE",
        worker="SELECT, UPDATE, DELETE",
        dispatcher="SELECT, UPDATE, DELETE",
    ),
    protect_table("attempt", web="SELECT", worker="SELECT, INSERT", dispatcher="SELECT, INSERT"),
    protect_table("job_tag", web="SELECT, INSERT, DELETE"),
    protect_table("unique_claim", web="SELECT, INSERT, DELETE", worker="SELECT, DELETE", dispatcher="SELECT, DELETE"),
    protect_table("idempotency_key", web="SELECT, INSERT", dispatcher="SELECT (tenant_id, hash, created_at), DELETE"),
    make_partitions(),
]

# What Django knows of the tables; the SQL files say the rest.
STATE = [
    migrations.CreateModel(
        name="Attempt",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("job_id", models.UUIDField()),
            ("number", models.IntegerField()),
            ("epoch", models.BigIntegerField()),
            ("worker_id", models.UUIDField(null=True)),
            ("started_at", models.DateTimeField()),
            ("finished_at", models.DateTimeField()),
            ("outcome", models.TextField()),
            ("error_code", models.TextField(null=True)),
            ("error_id", models.UUIDField(null=True)),
            ("result_id", models.UUIDField(null=True)),
        ],
        options={
            "db_table": "attempt",
        },
    ),
    migrations.CreateModel(
        name="IdempotencyKey",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "tenant_id", "hash", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            ("tenant_id", models.UUIDField()),
            ("hash", models.BinaryField()),
            ("fingerprint", models.BinaryField()),
            ("status", models.SmallIntegerField()),
            ("answer_sealed", models.BinaryField()),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ],
        options={
            "db_table": "idempotency_key",
        },
    ),
    migrations.CreateModel(
        name="Job",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("version", models.SmallIntegerField(default=1)),
            ("type", models.TextField()),
            ("executor", models.TextField()),
            ("handler", models.TextField(null=True)),
            ("queue", models.TextField()),
            ("pool", models.TextField()),
            ("priority", models.SmallIntegerField()),
            ("max_attempts", models.SmallIntegerField()),
            ("timeout_seconds", models.IntegerField()),
            ("retry", models.JSONField()),
            ("tags", models.JSONField(default=dict)),
            ("payload_id", models.UUIDField()),
            ("payload_bytes", models.IntegerField()),
            ("metadata_id", models.UUIDField(null=True)),
            ("callback_id", models.UUIDField(null=True)),
            ("unique_hash", models.BinaryField(null=True)),
            ("concurrency_hash", models.BinaryField(null=True)),
            ("traceparent", models.TextField(null=True)),
            ("run_at", models.DateTimeField()),
            ("start_deadline_at", models.DateTimeField(null=True)),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("final_state", models.TextField(null=True)),
            ("finished_at", models.DateTimeField(null=True)),
            ("available_at", models.DateTimeField(null=True)),
            ("dispatched_at", models.DateTimeField(null=True)),
            ("first_started_at", models.DateTimeField(null=True)),
            ("last_started_at", models.DateTimeField(null=True)),
            ("attempt", models.IntegerField(default=0)),
            ("crash_count", models.IntegerField(default=0)),
            ("epoch", models.BigIntegerField(default=0)),
            ("result_id", models.UUIDField(null=True)),
            ("error_code", models.TextField(null=True)),
            ("error_id", models.UUIDField(null=True)),
            ("error_epoch", models.BigIntegerField(null=True)),
            ("end_event_id", models.UUIDField(null=True)),
        ],
        options={
            "db_table": "job",
        },
    ),
    migrations.CreateModel(
        name="JobTag",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "job_id", "name", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            ("tenant_id", models.UUIDField()),
            ("job_id", models.UUIDField()),
            ("name", models.TextField()),
            ("value", models.TextField()),
        ],
        options={
            "db_table": "job_tag",
        },
    ),
    migrations.CreateModel(
        name="JobType",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("name", models.TextField()),
            ("executor", models.TextField()),
            ("http_sealed", models.BinaryField(null=True)),
            ("handler", models.TextField(null=True)),
            ("defaults", models.JSONField(default=dict)),
            ("on_crash", models.TextField(default="retry")),
            ("version", models.IntegerField(default=1)),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("updated_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ],
        options={
            "db_table": "job_type",
        },
    ),
    migrations.CreateModel(
        name="Lane",
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("queue", models.TextField()),
            ("pool", models.TextField()),
            ("is_active", models.BooleanField(default=True)),
            ("blocked_until", models.DateTimeField(null=True)),
            ("blocked_by", models.TextField(null=True)),
            ("weight", models.IntegerField(default=1)),
            ("vtime", models.FloatField(default=0)),
            ("served_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ],
        options={
            "db_table": "lane",
        },
    ),
    migrations.CreateModel(
        name="LiveJob",
        fields=[
            ("job_id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("lane_id", models.BigIntegerField()),
            ("pool", models.TextField()),
            ("type", models.TextField()),
            ("state", models.TextField()),
            ("rank", models.DateTimeField()),
            ("priority", models.SmallIntegerField()),
            ("due_at", models.DateTimeField()),
            ("available_at", models.DateTimeField(null=True)),
            ("dispatched_at", models.DateTimeField(null=True)),
            ("started_at", models.DateTimeField(null=True)),
            ("first_started_at", models.DateTimeField(null=True)),
            ("epoch", models.BigIntegerField(default=0)),
            ("attempt", models.IntegerField(default=0)),
            ("crash_count", models.IntegerField(default=0)),
            ("lease_until", models.DateTimeField(null=True)),
            ("worker_id", models.UUIDField(null=True)),
            ("group_id", models.UUIDField(null=True)),
            ("cancel_requested", models.BooleanField(default=False)),
            ("suspended_reason", models.TextField(null=True)),
            ("error_code", models.TextField(null=True)),
            ("error_id", models.UUIDField(null=True)),
            ("error_epoch", models.BigIntegerField(null=True)),
        ],
        options={
            "db_table": "job_live",
        },
    ),
    migrations.CreateModel(
        name="Pool",
        fields=[
            ("name", models.TextField(primary_key=True, serialize=False)),
            ("vtime", models.FloatField(default=0)),
        ],
        options={
            "db_table": "pool",
        },
    ),
    migrations.CreateModel(
        name="Queue",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("name", models.TextField()),
            ("concurrency", models.IntegerField(null=True)),
            ("key_concurrency", models.IntegerField(default=1)),
            ("rate", models.JSONField(null=True)),
            ("paused_at", models.DateTimeField(null=True)),
            ("retention_days", models.IntegerField(null=True)),
            ("version", models.IntegerField(default=1)),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ],
        options={
            "db_table": "queue",
        },
    ),
    migrations.CreateModel(
        name="UniqueClaim",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "tenant_id", "hash", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            ("tenant_id", models.UUIDField()),
            ("hash", models.BinaryField()),
            ("job_id", models.UUIDField()),
            ("expires_at", models.DateTimeField(null=True)),
        ],
        options={
            "db_table": "unique_claim",
        },
    ),
    migrations.CreateModel(
        name="Worker",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("pool", models.TextField()),
            ("host", models.TextField()),
            ("pid", models.IntegerField()),
            ("version", models.TextField()),
            ("slots", models.IntegerField()),
            ("jobs_per_slot", models.IntegerField(default=1)),
            ("run_times", models.JSONField(default=dict)),
            ("is_draining", models.BooleanField(default=False)),
            ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("seen_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ],
        options={
            "db_table": "worker",
        },
    ),
]


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("webhooks", "0001_initial")]
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
