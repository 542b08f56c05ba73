"""Plans of quotas, which tenants are put on; what a tenant had is its own."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

# No grant: the plans are the operator's.
DATABASE = [run_sql_file(SQL / "plans.sql")]

# What Django knows of the tables; the SQL file says the rest.
STATE = [
    migrations.CreateModel(
        name="Plan",
        fields=[
            ("name", models.TextField(primary_key=True, serialize=False)),
            ("quotas", models.JSONField(default=dict)),
        ],
        options={
            "db_table": "plan",
        },
    ),
    migrations.AddField("Tenant", "plan", models.TextField(null=True)),
    migrations.AddField("Tenant", "own_quotas", models.JSONField(default=dict)),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0005_refresh_statistics")]
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
