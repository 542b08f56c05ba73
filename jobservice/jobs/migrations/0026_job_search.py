"""The jobs of a type and of a queue, newest first: few of them among many others are found without a look at each."""

from typing import ClassVar

from django.db import migrations

from tenants.online import build_index


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("jobs", "0025_changed_rates")]
    operations: ClassVar = [
        # job_search.py. Of unfinished jobs, too; job_of_type has those that are over alone, for who asks for these.
        build_index("job_type_search", on="job", rows="(tenant_id, type, id)"),
        build_index("job_queue_search", on="job", rows="(tenant_id, queue, id)"),
    ]
