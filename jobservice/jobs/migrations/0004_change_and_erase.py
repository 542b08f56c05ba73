"""The rights, the index and the lookup for changing, erasing and waiting for a job."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import grant, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0003_idempotency_keys_expire"), ("webhooks", "0002_event_details")]
    operations: ClassVar = [
        run_sql_file(SQL / "change_and_erase.sql"),
        grant("job", web="DELETE"),
        grant("attempt", web="DELETE"),
        grant("job_tag", web="UPDATE (value)"),
    ]
