"""What happened is counted by time, and errors are grouped."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import protect_table, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"
# The dispatcher folds groups, and reads no sealed byte.
_FOLDED = "tenant_id, id, type, code, runs, first_seen_at, last_seen_at"

STATE = [
    migrations.CreateModel(
        name="ErrorGroup",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "tenant_id", "id", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            ("tenant_id", models.UUIDField()),
            ("id", models.UUIDField()),
            ("type", models.TextField()),
            ("code", models.TextField()),
            ("message_sealed", models.BinaryField(null=True)),
            ("state", models.TextField(default="open")),
            ("state_changed_at", models.DateTimeField(null=True)),
            ("runs", models.BigIntegerField(default=0)),
            ("first_seen_at", models.DateTimeField()),
            ("last_seen_at", models.DateTimeField()),
        ],
        options={"db_table": "error_group"},
    ),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0016_type_signing")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                run_sql_file(SQL / "statistics.sql"),
                # Whoever ends a job, or accepts one, adds to these; only the dispatcher looks at them again.
                protect_table("statistic_delta", web="INSERT", worker="INSERT", dispatcher="SELECT, INSERT, DELETE"),
                protect_table("error_delta", web="INSERT", worker="INSERT", dispatcher="SELECT, INSERT, DELETE"),
                protect_table("statistic", web="SELECT", dispatcher="SELECT, INSERT, UPDATE, DELETE"),
                protect_table("error_count", web="SELECT", dispatcher="SELECT, INSERT, UPDATE, DELETE"),
                protect_table(
                    "error_group",
                    web="SELECT, INSERT, UPDATE",
                    worker="SELECT (tenant_id, id), INSERT",
                    dispatcher=f"SELECT ({_FOLDED}, state, state_changed_at), INSERT ({_FOLDED}), "
                    "UPDATE (runs, first_seen_at, last_seen_at, state, state_changed_at), DELETE",
                ),
            ],
            state_operations=STATE,
        )
    ]
