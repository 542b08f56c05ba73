"""API keys can be rotated, dead ones leave, and the requests of a tenant are counted."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import grant, protect_table, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

DATABASE = [
    run_sql_file(SQL / "api_key_rotation.sql"),
    grant("api_key", web="DELETE, UPDATE (secret_hash, rotated_at, previous_secret_hash, previous_valid_until)"),
    protect_table("request_bucket", web="SELECT, INSERT, UPDATE"),
]

# What Django knows of the tables; the SQL files say the rest.
STATE = [
    migrations.AddField("ApiKey", "rotated_at", models.DateTimeField(null=True)),
    migrations.AddField("ApiKey", "previous_secret_hash", models.BinaryField(null=True)),
    migrations.AddField("ApiKey", "previous_valid_until", models.DateTimeField(null=True)),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0002_members_and_erasure")]
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
