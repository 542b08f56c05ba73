"""The dispatcher also has a queue analysed that fills the pages it had, as that of deliveries does at each backlog."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0011_login_epoch")]
    operations: ClassVar = [run_sql_file(SQL / "refresh_filled_tables.sql")]
