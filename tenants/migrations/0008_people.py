"""People's logins: accounts, their sessions, the guard against guessing, and who redeemed an invitation."""

from pathlib import Path
from typing import ClassVar

import django.db.models.functions.datetime
from django.db import migrations, models

from tenants.rls import allow_owner, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

DATABASE = [
    run_sql_file(SQL / "people.sql"),
    # For the two functions that run as the owner, before a tenant is known.
    allow_owner("member", "SELECT"),
]

# What Django knows of the tables; the SQL file says the rest.
STATE = [
    migrations.CreateModel(
        name="Account",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("email", models.TextField(unique=True)),
            ("password", models.TextField()),
            ("is_staff", models.BooleanField(default=False)),
            ("reset_hash", models.BinaryField(null=True)),
            ("reset_expires_at", models.DateTimeField(null=True)),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ],
        options={"db_table": "account"},
    ),
    migrations.CreateModel(
        name="LoginSession",
        fields=[
            ("key_hash", models.TextField(primary_key=True, serialize=False)),
            ("account_id", models.UUIDField(null=True)),
            ("data", models.JSONField(default=dict)),
            ("address", models.TextField(null=True)),
            ("user_agent", models.TextField(null=True)),
            ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("last_seen_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ("expires_at", models.DateTimeField()),
        ],
        options={"db_table": "login_session"},
    ),
    migrations.CreateModel(
        name="LoginThrottle",
        fields=[
            ("key", models.TextField(primary_key=True, serialize=False)),
            ("used_until", models.DateTimeField()),
        ],
        options={"db_table": "login_throttle"},
    ),
    migrations.AddField("Member", "account_id", models.UUIDField(null=True)),
    migrations.AddField("Member", "last_seen_at", models.DateTimeField(null=True)),
    migrations.AddField("Tenant", "require_mfa", models.BooleanField(default=False)),
    migrations.AddField("Installation", "login_key", models.BinaryField(null=True)),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0007_audit_log")]
    # Their tables refer to accounts, of which they know only that they are this app's.
    run_before: ClassVar = [("account", "0001_initial"), ("mfa", "0001_initial")]
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
