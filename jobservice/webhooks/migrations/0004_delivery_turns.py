"""Whose turn it is to be told, and how the last tries went."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations

from tenants.rls import protect_table, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("webhooks", "0003_endpoints")]
    operations: ClassVar = [
        run_sql_file(SQL / "delivery_turns.sql"),
        protect_table("delivery_turn", dispatcher="SELECT, INSERT, UPDATE"),
        protect_table(
            "delivery_health",
            web="SELECT, UPDATE (blocked_until)",
            worker="SELECT, INSERT, UPDATE",
            dispatcher="SELECT",
        ),
        # No `refuse_erased`: who claims or records holds deliveries, and would wait for the tenant behind its erasure.
        # The rows hold ids and times, and the erasure waits for those who are at it.
    ]
