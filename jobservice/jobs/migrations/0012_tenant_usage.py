"""What a tenant holds and uses, for its quotas of volume."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import protect_table, refuse_erased, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0011_bulk_actions"), ("tenants", "0004_run_reports")]
    operations: ClassVar = [
        run_sql_file(SQL / "tenant_usage.sql"),
        protect_table(
            "tenant_usage",
            web="SELECT, INSERT, UPDATE",
            worker="SELECT, INSERT, UPDATE",
            dispatcher="SELECT, INSERT, UPDATE",
        ),
        refuse_erased("tenant_usage"),
    ]
