"""The people of a tenant, the erasure of a tenant, and what a rotation of its keys leaves behind."""

from pathlib import Path
from typing import ClassVar

import django.db.models.functions.datetime
from django.db import migrations, models

from tenants.rls import protect_table, refuse_erased, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

DATABASE = [
    run_sql_file(SQL / "members_and_erasure.sql"),
    protect_table(
        "member",
        web="SELECT, INSERT, UPDATE (role, may_read_payloads, status, invitation_hash, invitation_expires_at)",
    ),
    refuse_erased("data_key", "api_key", "signing_secret", "member"),
    # Tables of the jobs app, named here because the fence is this app's and must stand at once for all of them.
    refuse_erased("job_type", "queue", "lane"),
]

STATE = [
    migrations.AddField(model_name="installation", name="key_changes", field=models.BigIntegerField(default=0)),
    migrations.AddField(model_name="tenant", name="min_open_version", field=models.IntegerField(default=1)),
    migrations.AddField(model_name="tenant", name="erased_at", field=models.DateTimeField(null=True)),
    migrations.CreateModel(
        name="Member",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("email", models.TextField()),
            ("role", models.TextField()),
            ("may_read_payloads", models.BooleanField(default=False)),
            ("status", models.TextField(default="invited")),
            ("invitation_hash", models.BinaryField(null=True)),
            ("invitation_expires_at", models.DateTimeField(null=True)),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ],
        options={
            "db_table": "member",
        },
    ),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0001_initial"), ("jobs", "0001_initial")]
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
