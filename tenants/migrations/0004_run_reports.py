"""Sealed values may be the progress and the log of a run."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0003_api_key_rotation")]
    operations: ClassVar = [run_sql_file(SQL / "run_reports.sql")]
