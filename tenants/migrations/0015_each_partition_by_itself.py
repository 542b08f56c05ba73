"""A week that cannot have a partition, because its rows lie in the default one, keeps no other week without."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0014_operator_policies")]
    operations: ClassVar = [run_sql_file(SQL / "make_partitions.sql")]
