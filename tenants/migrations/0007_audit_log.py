"""The audit log: a chain of events per tenant, to which the runtime roles can only append."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations, models

from tenants.rls import allow_owner, protect_table, run_sql_file

SQL = Path(__file__).resolve().parent.parent / "sql"

DATABASE = [
    run_sql_file(SQL / "audit_log.sql"),
    # Only the web acts for somebody; the operator's commands append as the owner.
    protect_table("audit_head", web="SELECT, UPDATE (seq, hash, signature)"),
    protect_table("audit_event", web="SELECT, INSERT"),
    # Verification and `doctor` read every tenant's chain.
    allow_owner("audit_head", "SELECT"),
    allow_owner("audit_event", "SELECT"),
]

# What Django knows of the tables; the SQL file says the rest.
STATE = [
    migrations.AddField(model_name="installation", name="audit_key", field=models.BinaryField(null=True)),
    migrations.CreateModel(
        name="AuditHead",
        fields=[
            ("tenant_id", models.UUIDField(primary_key=True, serialize=False)),
            ("seq", models.BigIntegerField(default=0)),
            ("hash", models.BinaryField()),
            ("signature", models.BinaryField(null=True)),
        ],
        options={"db_table": "audit_head"},
    ),
    migrations.CreateModel(
        name="AuditEvent",
        fields=[
            ("id", models.UUIDField(primary_key=True, serialize=False)),
            ("tenant_id", models.UUIDField()),
            ("seq", models.BigIntegerField()),
            ("at", models.DateTimeField()),
            ("actor_type", models.TextField()),
            ("actor_id", models.TextField()),
            ("command", models.TextField(null=True)),
            ("action", models.TextField()),
            ("object_type", models.TextField()),
            ("object_id", models.TextField()),
            ("before", models.TextField(null=True)),
            ("after", models.TextField(null=True)),
            ("address", models.TextField(null=True)),
            ("request_id", models.TextField(null=True)),
            ("hash", models.BinaryField()),
        ],
        options={"db_table": "audit_event"},
    ),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0006_plans")]
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
