#!/usr/bin/env python
"""The operator's command line. A fault in the configuration is one sentence and exit code 2."""

import os
import sys

# The role each command connects as; every other command is the operator's own and uses the owner's.
PROCESS_OF_COMMAND = {"dispatcher": "dispatcher", "worker": "worker"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobservice.settings")
    if len(sys.argv) > 1:
        os.environ.setdefault("JOBSERVICE_PROCESS", PROCESS_OF_COMMAND.get(sys.argv[1], "owner"))
    from jobservice.env import ConfigurationError

    try:
        if sys.argv[1:] == ["up"]:
            _run_everything()
        else:
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


def _run_everything() -> None:
    """`up` without Django, of which the supervisor knows nothing: everything waits for this process to begin."""
    from jobservice.env import load
    from workers.supervisor.supervisor import run_supervisor

    sys.exit(run_supervisor(load()))


if __name__ == "__main__":
    main()
