"""What the whole life of a job needs: cancels, deadlines, reports of runs, later ends, types that are switched off."""

from pathlib import Path
from typing import Any, ClassVar

from django.db import migrations, models

from tenants.rls import grant, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

_REPORT: dict[str, Any] = {
    "progress_percent": models.FloatField(null=True),
    "progress_id": models.UUIDField(null=True),
    "log_id": models.UUIDField(null=True),
}

STATE = [
    migrations.AddField(model_name="job", name="on_crash", field=models.TextField(default="retry")),
    migrations.AddField(model_name="livejob", name="start_deadline_at", field=models.DateTimeField(null=True)),
    migrations.AddField(model_name="livejob", name="is_async", field=models.BooleanField(default=False)),
    *(
        migrations.AddField(model_name=model, name=name, field=column)
        for model in ("livejob", "attempt")
        for name, column in _REPORT.items()
    ),
    migrations.AddField(model_name="jobtype", name="disabled_at", field=models.DateTimeField(null=True)),
    migrations.AddField(model_name="jobtype", name="disabled_reason", field=models.TextField(null=True)),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0004_change_and_erase"), ("tenants", "0004_run_reports")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                run_sql_file(SQL / "whole_life.sql"),
                grant("blob", worker="UPDATE (sealed)", web="UPDATE (sealed)"),
                grant("attempt", web="INSERT"),
                grant("job_type", worker="UPDATE (disabled_at, disabled_reason)"),
                grant("job_type", dispatcher="SELECT (tenant_id, name, disabled_at)"),
            ],
            state_operations=STATE,
        )
    ]
