"""A job remembers the job that it was made from.

In the row that is written twice and leaves with its partition, for it never changes; no foreign key, which would keep a
partition from being dropped: the id of a job that is gone stays, and names nothing.
"""

from typing import ClassVar

from django.db import migrations, models

from tenants.online import add_column, build_index


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("jobs", "0021_job_of_type")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                add_column("job", "retry_of uuid"),
                # find_followers.sql: which jobs were made from one. Few are, so there is little in it.
                build_index("job_followers", on="job", rows="(tenant_id, retry_of, id) WHERE retry_of IS NOT NULL"),
            ],
            state_operations=[
                migrations.AddField(model_name="job", name="retry_of", field=models.UUIDField(null=True))
            ],
        )
    ]
