"""Which group the last error of a job is of, to find the jobs of a group. Nullable, so old code need not know."""

from typing import ClassVar

from django.db import migrations

from tenants.online import add_column, build_index


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("jobs", "0017_statistics")]
    operations: ClassVar = [
        add_column("job", "error_group_id uuid"),
        add_column("job_live", "error_group_id uuid"),
        build_index("job_of_error", on="job", rows="(tenant_id, error_group_id, id) WHERE error_group_id IS NOT NULL"),
        build_index(
            "job_live_of_error",
            on="job_live",
            rows="(tenant_id, error_group_id, job_id) WHERE error_group_id IS NOT NULL",
        ),
    ]
