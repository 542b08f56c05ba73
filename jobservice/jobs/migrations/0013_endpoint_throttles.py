"""An endpoint's "not now" holds back the jobs of its type."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import grant, protect_table, refuse_erased, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

STATE = [
    migrations.CreateModel(
        name="EndpointThrottle",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "tenant_id", "type", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            ("tenant_id", models.UUIDField()),
            ("type", models.TextField()),
            ("type_version", models.IntegerField()),
            ("until", models.DateTimeField()),
            ("batch", models.IntegerField()),
            ("let_go_at", models.DateTimeField()),
        ],
        options={"db_table": "endpoint_throttle"},
    ),
    migrations.AddField(model_name="livejob", name="is_throttled", field=models.BooleanField(default=False)),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0012_tenant_usage")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                run_sql_file(SQL / "endpoint_throttles.sql"),
                protect_table(
                    "endpoint_throttle",
                    web="SELECT, DELETE",
                    worker="SELECT, INSERT, UPDATE",
                    dispatcher="SELECT, UPDATE, DELETE",
                ),
                refuse_erased("endpoint_throttle"),
                grant("job_type", dispatcher="SELECT (version)"),
            ],
            state_operations=STATE,
        )
    ]
