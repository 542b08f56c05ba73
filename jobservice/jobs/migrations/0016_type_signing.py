"""A job type may choose how its calls are signed, and have a signing secret of its own."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0015_replays")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[run_sql_file(SQL / "type_signing.sql")],
            state_operations=[
                migrations.AddField(model_name="jobtype", name="scheme", field=models.TextField(default="v1")),
                migrations.AddField(
                    model_name="jobtype", name="has_own_secret", field=models.BooleanField(default=False)
                ),
                migrations.AddField(
                    model_name="jobtype", name="secret_rotated_at", field=models.DateTimeField(null=True)
                ),
            ],
        )
    ]
