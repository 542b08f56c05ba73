"""Turns of tenants and of their lanes, and the limits that hold a lane back."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import grant, protect_table, refuse_erased, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

STATE = [
    migrations.CreateModel(
        name="Share",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "tenant_id", "pool", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            ("tenant_id", models.UUIDField()),
            ("pool", models.TextField()),
            ("is_active", models.BooleanField(default=True)),
            ("blocked_by", models.TextField(null=True)),
            ("vtime", models.FloatField(default=0)),
            ("lane_vtime", models.FloatField(default=0)),
            ("is_drained", models.BooleanField(default=True)),
        ],
        options={"db_table": "share"},
    ),
    migrations.AddField(model_name="lane", name="is_drained", field=models.BooleanField(default=True)),
    migrations.AddField(model_name="livejob", name="concurrency_hash", field=models.BinaryField(null=True)),
    migrations.AddField(model_name="livejob", name="is_parked", field=models.BooleanField(default=False)),
]

_WAKE = "UPDATE (is_active, blocked_by, vtime)"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0008_queue_settings")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                run_sql_file(SQL / "fair_limits.sql"),
                protect_table(
                    "share", web=f"SELECT, INSERT, {_WAKE}", worker=f"SELECT, {_WAKE}", dispatcher="SELECT, UPDATE"
                ),
                protect_table("claim_gate", web="SELECT, INSERT, UPDATE", dispatcher="SELECT, UPDATE"),
                protect_table("queue_rate", web="SELECT", dispatcher="SELECT, INSERT, UPDATE"),
                refuse_erased("share", "claim_gate"),
                grant("lane", web="UPDATE (blocked_by, blocked_until)", worker="UPDATE (blocked_by, blocked_until)"),
            ],
            state_operations=STATE,
        )
    ]
