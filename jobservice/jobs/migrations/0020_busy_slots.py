"""How much of a worker is in use.

Slots in use by its own word, of all tenants together; null of a worker that does not tell. For operators only: nothing
is decided by it, the dispatcher counts the jobs themselves (survey.sql).
"""

from typing import ClassVar

from django.db import migrations, models

from tenants.online import add_column


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("jobs", "0019_pauses")]
    operations: ClassVar = [
        migrations.SeparateDatabaseAndState(
            database_operations=[add_column("worker", "busy_slots integer CHECK (busy_slots >= 0)")],
            state_operations=[
                migrations.AddField(model_name="worker", name="busy_slots", field=models.IntegerField(null=True))
            ],
        )
    ]
