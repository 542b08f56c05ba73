"""Bulk actions that send the deliveries to an endpoint again."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0014_quota_warnings")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[run_sql_file(SQL / "replays.sql")],
            state_operations=[
                migrations.AddField(model_name="bulkaction", name="endpoint_id", field=models.UUIDField(null=True))
            ],
        )
    ]
