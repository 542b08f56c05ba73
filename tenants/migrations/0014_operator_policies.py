"""Operators in the console read plans, and count keys."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import allow_owner, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    # One table in each transaction.
    atomic = False
    dependencies: ClassVar = [("tenants", "0013_operators")]
    operations: ClassVar = [
        run_sql_file(SQL / "plan_policies.sql"),
        # For the functions that run as the owner, which count keys and return none.
        allow_owner("data_key", "SELECT"),
    ]
