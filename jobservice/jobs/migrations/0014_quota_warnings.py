"""Of which quotas a tenant has been warned."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import protect_table, refuse_erased, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0013_endpoint_throttles")]
    operations: ClassVar = [
        run_sql_file(SQL / "quota_warnings.sql"),
        protect_table("quota_warning", web="SELECT", dispatcher="SELECT, INSERT, DELETE"),
        refuse_erased("quota_warning"),
    ]
