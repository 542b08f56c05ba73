"""Rows that no verb writes are refused by the database as well."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0005_whole_life")]
    operations: ClassVar = [run_sql_file(SQL / "no_illegal_rows.sql")]
