"""A run that cancels its own job may say why."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0006_no_illegal_rows")]
    operations: ClassVar = [run_sql_file(SQL / "cancel_reasons.sql")]
