"""The tables of this app, their rules, and who may touch them."""

from pathlib import Path
from typing import ClassVar

import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models

from tenants.rls import allow_owner, grant, protect_table, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

DATABASE = [
    run_sql_file(SQL / "roles.sql"),
    run_sql_file(SQL / "schema.sql"),
    grant("installation", web="SELECT", worker="SELECT"),
    # Readiness: is the database migrated as far as the code is?
    grant("django_migrations", web="SELECT", worker="SELECT", dispatcher="SELECT"),
    # The operator's commands look a tenant up by its name before they act for it.
    protect_table("tenant", column="id", web="SELECT", worker="SELECT", dispatcher="SELECT"),
    protect_table("data_key", web="SELECT", worker="SELECT"),
    protect_table("api_key", web="SELECT, INSERT, UPDATE (name, expires_at, revoked_at, last_used_at)"),
    protect_table("signing_secret", web="SELECT, INSERT, UPDATE (valid_until)", worker="SELECT"),
    # The dispatcher has no grant here: it never sees a sealed byte.
    protect_table("blob", web="SELECT, INSERT, DELETE", worker="SELECT, INSERT"),
    allow_owner("tenant"),
    allow_owner("api_key", "SELECT"),
]

# What Django knows of the tables; the SQL files say the rest.
STATE = [
    migrations.CreateModel(
        name="ApiKey",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("name", models.TextField()),
            ("lookup_id", models.TextField(unique=True)),
            ("secret_hash", models.BinaryField()),
            ("scopes", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
            ("queues", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), null=True, size=None)),
            ("cidrs", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), null=True, size=None)),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("expires_at", models.DateTimeField(null=True)),
            ("revoked_at", models.DateTimeField(null=True)),
            ("last_used_at", models.DateTimeField(null=True)),
        ],
        options={
            "db_table": "api_key",
        },
    ),
    migrations.CreateModel(
        name="Blob",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("kind", models.TextField()),
            ("epoch", models.BigIntegerField(null=True)),
            ("sealed", models.BinaryField()),
        ],
        options={
            "db_table": "blob",
        },
    ),
    migrations.CreateModel(
        name="DataKey",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("purpose", models.TextField()),
            ("version", models.IntegerField()),
            ("wrapped", models.BinaryField()),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ],
        options={
            "db_table": "data_key",
        },
    ),
    migrations.CreateModel(
        name="Installation",
        fields=[
            ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
            ("root_key_fingerprint", models.TextField()),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ],
        options={
            "db_table": "installation",
        },
    ),
    migrations.CreateModel(
        name="SigningSecret",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("name", models.TextField(default="default")),
            ("sealed", models.BinaryField()),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("valid_until", models.DateTimeField(null=True)),
        ],
        options={
            "db_table": "signing_secret",
        },
    ),
    migrations.CreateModel(
        name="Tenant",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("name", models.TextField(unique=True)),
            ("status", models.TextField(default="active")),
            ("weight", models.IntegerField(default=1)),
            ("quotas", models.JSONField(default=dict)),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ],
        options={
            "db_table": "tenant",
        },
    ),
]


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
