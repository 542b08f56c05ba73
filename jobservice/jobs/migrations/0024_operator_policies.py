"""What the operators' table of tenants reads, as the owner. None of these tables holds a sealed value."""

from typing import ClassVar

from django.db import migrations

from tenants.rls import allow_owner


class Migration(migrations.Migration):
    # One table in each transaction: an accept locks some of these, too, and in another order.
    atomic = False
    dependencies: ClassVar = [("jobs", "0023_operator_tenants")]
    operations: ClassVar = [allow_owner(table, "SELECT") for table in ("job_live", "lane", "share", "tenant_usage")]
