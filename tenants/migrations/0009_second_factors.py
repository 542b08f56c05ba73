"""The web may use the table of second factors, which allauth's migrations make."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0008_people"), ("mfa", "0003_authenticator_type_uniq")]
    operations: ClassVar = [run_sql_file(SQL / "second_factors.sql")]
