"""Bulk actions: their rows, with how far each has come, and whose turn it is."""

from pathlib import Path
from typing import ClassVar

import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models

from tenants.rls import allow_owner, protect_table, refuse_erased, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"
_PROGRESS = "status, done, skipped, position, holder, leased_until, served_at, stalls, finished_at"

STATE = [
    migrations.CreateModel(
        name="BulkAction",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("action", models.TextField()),
            ("filter", models.JSONField()),
            ("queues", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), null=True, size=None)),
            ("max_jobs", models.IntegerField()),
            ("status", models.TextField(default="running")),
            ("matched", models.IntegerField()),
            ("done", models.IntegerField(default=0)),
            ("skipped", models.IntegerField(default=0)),
            ("last_job_id", models.UUIDField(null=True)),
            ("position", models.UUIDField(null=True)),
            ("holder", models.UUIDField(null=True)),
            ("leased_until", models.DateTimeField(null=True)),
            ("served_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("stalls", models.SmallIntegerField(default=0)),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("finished_at", models.DateTimeField(null=True)),
        ],
        options={"db_table": "bulk_action"},
    )
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0010_unique_keys")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                run_sql_file(SQL / "bulk_actions.sql"),
                protect_table(
                    "bulk_action",
                    web=f"SELECT, INSERT, UPDATE ({_PROGRESS})",
                    dispatcher="SELECT (id, status, finished_at), DELETE",
                ),
                # lease_bulk_action looks over all tenants.
                allow_owner("bulk_action"),
                refuse_erased("bulk_action"),
            ],
            state_operations=STATE,
        )
    ]
