"""What an event tells besides the job, and the rights to erase what was told."""

from typing import ClassVar

from django.db import migrations, models

from tenants.rls import grant

DATABASE = [
    # Nothing sealed; null for the events that the job alone explains.
    migrations.RunSQL("ALTER TABLE event ADD COLUMN details jsonb", migrations.RunSQL.noop),
    grant("event", web="DELETE"),
    grant("delivery", web="DELETE"),
    # A row is locked before it is deleted, which takes a right to update.
    grant("delivery_live", web="UPDATE (due_at), DELETE"),
    grant("delivery_attempt", web="DELETE"),
]

STATE = [migrations.AddField(model_name="event", name="details", field=models.JSONField(null=True))]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("webhooks", "0001_initial")]
    operations: ClassVar = [migrations.SeparateDatabaseAndState(database_operations=DATABASE, state_operations=STATE)]
