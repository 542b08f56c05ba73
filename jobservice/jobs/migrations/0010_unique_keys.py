"""A job may have a unique key: how long it is held, and the rights to hold, hand on and release it."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import grant, refuse_erased, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

STATE = [
    migrations.AddField(model_name="uniqueclaim", name="held_while", field=models.TextField(null=True)),
    migrations.AddField(model_name="job", name="unique_while", field=models.TextField(null=True)),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0009_fair_limits"), ("tenants", "0004_run_reports")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                run_sql_file(SQL / "unique_keys.sql"),
                grant(
                    "unique_claim",
                    web="UPDATE (job_id, held_while, expires_at)",
                    worker="UPDATE (held_while)",
                    dispatcher="UPDATE (held_while)",
                ),
                # A key taken for a tenant that is being erased waits for the erasure before it holds anything.
                refuse_erased("unique_claim"),
            ],
            state_operations=STATE,
        )
    ]
