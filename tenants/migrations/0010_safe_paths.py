"""Functions of the owner look among temporary objects last; a reset link knows whether an operator printed it."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

DATABASE = [run_sql_file(SQL / "safe_paths.sql")]
# What Django knows of it; the SQL file says the rest.
STATE = [migrations.AddField("Account", "reset_is_printed", models.BooleanField(default=False))]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0009_second_factors")]
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
