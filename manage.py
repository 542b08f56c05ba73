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
    from django.core.management import execute_from_command_line

    from jobservice.env import ConfigurationError

    try:
        execute_from_command_line(sys.argv)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
