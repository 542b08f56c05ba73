"""What the operator's commands share: a domain error becomes a sentence and exit code 2, never a traceback."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from jobservice.errors import Invalid, JobserviceError, KeyProviderAway
from tenants.acting import acting_as, operator
from tenants.boot import check_root_key
from tenants.installation_keys import ensure_installation_keys


class OperatorCommand(BaseCommand):
    """A command that acts for the operator: override `act`."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_root_key()
            ensure_installation_keys()
            with acting_as(operator(type(self).__module__.rpartition(".")[2])):
                self.act(**options)
        except Invalid as error:
            raise CommandError(" ".join(fault.detail for fault in error.faults), returncode=2) from None
        except KeyProviderAway as error:
            raise CommandError(error.cause, returncode=2) from None
        except JobserviceError as error:
            raise CommandError(error.detail, returncode=2) from None
        except Error as error:
            reason = str(error).strip().splitlines()[0]
            raise CommandError(f"The database cannot be used: {reason}. Is it running?", returncode=2) from None

    def act(self, **options: Any) -> None:
        raise NotImplementedError

    def show(self, as_json: bool, content: dict[str, Any], sentence: str) -> None:
        self.stdout.write(json.dumps(content) if as_json else sentence)
