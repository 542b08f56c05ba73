"""The operators' table of tenants: figures of all of them, for whoever has an operator's session."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0022_retry_of"), ("tenants", "0013_operators")]
    operations: ClassVar = [run_sql_file(SQL / "operator_tenants.sql")]
