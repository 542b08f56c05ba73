"""`manage.py migrate`: Django's own, in which no change of a table holds up those who use it for more than a moment.

Whoever wants a table for itself waits for the transactions that use it, and everybody who comes after waits behind it.
So it gives way soon, lets them pass and tries again. What is applied stays applied; a migration that gave way is begun
anew.
"""

from __future__ import annotations

import time
from typing import Any

from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg import errors

from jobservice.env import ConfigurationError

# Less than the 2 s that the web's role waits for a lock (tenants/sql/roles.sql): who stands behind it is not refused.
LOCK_TIMEOUT = "1500ms"
TRIES = 20
PAUSE_SECONDS = 3.0


class Command(migrate.Command):
    def handle(self, *arguments: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        try:
            for tries in range(1, TRIES + 1):
                with connection.cursor() as cursor:
                    cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
                try:
                    super().handle(*arguments, **options)
                    return
                except OperationalError as error:
                    if not isinstance(error.__cause__, errors.LockNotAvailable | errors.DeadlockDetected):
                        raise
                self.stdout.write(f"\nA table is in use; try {tries} of {TRIES} gave way.")
                time.sleep(PAUSE_SECONDS)
        finally:
            # Whoever called this goes on with the connection, if there still is one.
            if connection.connection is not None and not connection.connection.closed:
                with connection.cursor() as cursor:
                    cursor.execute("RESET lock_timeout")
        raise ConfigurationError(
            f"A migration found its table in use in {TRIES} tries. End the transactions that stay open "
            "(`manage.py doctor` names the oldest) and run this again; it goes on where it stopped."
        )
