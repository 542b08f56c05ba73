"""A job type may have a schema for the payloads of its jobs."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0001_initial")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[run_sql_file(SQL / "payload_schema.sql")],
            state_operations=[
                migrations.AddField(model_name="jobtype", name="payload_schema", field=models.JSONField(null=True))
            ],
        )
    ]
