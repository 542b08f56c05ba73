"""Sealed values may be what a receiver answered."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("webhooks", "0004_delivery_turns"), ("tenants", "0005_refresh_statistics")]
    operations: ClassVar = [run_sql_file(SQL / "answer_blobs.sql")]
