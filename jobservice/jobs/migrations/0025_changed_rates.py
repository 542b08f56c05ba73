"""Whoever changes a queue's rate brings what its bucket lacks into the terms of the new one."""

from typing import ClassVar

from django.db import migrations

from tenants.rls import grant


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0024_operator_policies")]
    operations: ClassVar = [grant("queue_rate", web="UPDATE (full_at)")]
