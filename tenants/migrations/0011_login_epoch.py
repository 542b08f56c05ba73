"""What began before an account's password or factors changed is known by the account's epoch."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

# What Django knows of the columns; the SQL file says the rest.
STATE = [
    migrations.AddField("Account", "login_epoch", models.BigIntegerField(db_default=0)),
    migrations.AddField("LoginSession", "login_epoch", models.BigIntegerField(null=True)),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0010_safe_paths")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[run_sql_file(SQL / "login_epoch.sql")], state_operations=STATE
        )
    ]
