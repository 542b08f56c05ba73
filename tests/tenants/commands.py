"""Runs the operator's commands as the command line does."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command


def run(*arguments: str) -> str:
    """What the command prints on standard output."""
    output = StringIO()
    call_command(*arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def refused(*arguments: str, exit_code: int = 2) -> str:
    """The sentence of a command that ends with this exit code."""
    with pytest.raises(CommandError) as error:
        run(*arguments)
    assert error.value.returncode == exit_code
    return str(error.value)
