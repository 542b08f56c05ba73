"""An idempotency key past its day may be used anew: the web replaces the row."""

from typing import ClassVar

from django.db import migrations

from tenants.rls import grant


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0002_payload_schema")]
    operations: ClassVar = [
        grant("idempotency_key", web="UPDATE (fingerprint, status, answer_sealed, created_at)"),
    ]
