"""Operators in the console: what the web's role may do for one, and the last report of the health checks."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

# What Django knows of the table; the SQL file says the rest.
STATE = [
    migrations.CreateModel(
        name="HealthReport",
        fields=[
            ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
            ("findings", models.JSONField(null=True)),
            ("examined_at", models.DateTimeField(null=True)),
            ("wanted_at", models.DateTimeField(null=True)),
            ("taken_at", models.DateTimeField(null=True)),
            ("failure", models.TextField(null=True)),
        ],
        options={"db_table": "health_report"},
    ),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0012_filled_tables")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[run_sql_file(SQL / "operators.sql")], state_operations=STATE
        ),
    ]
