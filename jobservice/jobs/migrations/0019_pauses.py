"""Who paused a queue, and why."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0018_job_of_error")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[run_sql_file(SQL / "pauses.sql")],
            state_operations=[
                migrations.AddField(model_name="queue", name=name, field=models.TextField(null=True))
                for name in ("paused_by_type", "paused_by_id", "paused_reason")
            ],
        )
    ]
