"""The dispatcher has what grew fast analysed, before autovacuum comes."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0004_run_reports")]
    operations: ClassVar = [run_sql_file(SQL / "refresh_statistics.sql")]
