"""The jobs of a type that are over, to show beside one of them."""

from typing import ClassVar

from django.db import migrations

from tenants.online import build_index


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("jobs", "0020_busy_slots")]
    operations: ClassVar = [
        # list_latest_of_type.sql. Of jobs that are over only, so that an accept does not pay for it.
        build_index("job_of_type", on="job", rows="(tenant_id, type, id) WHERE final_state IS NOT NULL"),
    ]
