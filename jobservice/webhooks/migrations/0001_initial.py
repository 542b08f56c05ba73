"""The tables of this app, their rules, and who may touch them."""

from pathlib import Path
from typing import ClassVar

import django.db.models.functions.datetime
from django.db import migrations, models

from tenants.rls import protect_table, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

DATABASE = [
    run_sql_file(SQL / "schema.sql"),
    protect_table("event", web="SELECT, INSERT", worker="SELECT, INSERT", dispatcher="SELECT, INSERT"),
    protect_table(
        "delivery",
        web="SELECT, INSERT",
        worker="SELECT, INSERT, UPDATE (final_state, finished_at)",
        dispatcher="SELECT, INSERT",
    ),
    protect_table(
        "delivery_live",
        web="SELECT, INSERT",
        worker="SELECT, INSERT, UPDATE, DELETE",
        dispatcher="SELECT, INSERT, UPDATE",
    ),
    protect_table("delivery_attempt", web="SELECT", worker="SELECT, INSERT"),
]

# What Django knows of the tables; the SQL files say the rest.
STATE = [
    migrations.CreateModel(
        name="Delivery",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("event_id", models.UUIDField()),
            ("job_id", models.UUIDField()),
            ("callback_id", models.UUIDField()),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("final_state", models.TextField(null=True)),
            ("finished_at", models.DateTimeField(null=True)),
        ],
        options={
            "db_table": "delivery",
        },
    ),
    migrations.CreateModel(
        name="DeliveryAttempt",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("delivery_id", models.UUIDField()),
            ("event_id", models.UUIDField()),
            ("job_id", models.UUIDField()),
            ("number", models.IntegerField()),
            ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("duration_ms", models.IntegerField()),
            ("status", models.SmallIntegerField(null=True)),
            ("error_class", models.TextField(null=True)),
            ("next_attempt_at", models.DateTimeField(null=True)),
        ],
        options={
            "db_table": "delivery_attempt",
        },
    ),
    migrations.CreateModel(
        name="Event",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("job_id", models.UUIDField()),
            ("version", models.SmallIntegerField(default=1)),
            ("type", models.TextField()),
            ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("job", models.JSONField()),
            ("epoch", models.BigIntegerField()),
            ("result_id", models.UUIDField(null=True)),
            ("error_id", models.UUIDField(null=True)),
            ("metadata_id", models.UUIDField(null=True)),
        ],
        options={
            "db_table": "event",
        },
    ),
    migrations.CreateModel(
        name="LiveDelivery",
        fields=[
            ("delivery_id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("state", models.TextField(default="pending")),
            ("due_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("epoch", models.BigIntegerField(default=0)),
            ("attempt", models.IntegerField(default=0)),
            ("lease_until", models.DateTimeField(null=True)),
            ("worker_id", models.UUIDField(null=True)),
        ],
        options={
            "db_table": "delivery_live",
        },
    ),
]


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("tenants", "0001_initial")]
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
