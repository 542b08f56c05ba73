"""The settings of queues have bounds, and what waits in a queue can be counted."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0007_cancel_reasons")]
    operations: ClassVar = [run_sql_file(SQL / "queue_settings.sql")]
