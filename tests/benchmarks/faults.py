"""Why a measurement has no figure: the work was wrong, or what it measures is not there.

Exception
├── CannotMeasure    the machine or the environment does not allow it
├── NotThere         the product does not have what would be measured
└── WrongWork        a job or a callback was lost, doubled or wrong: the run fails
"""

from __future__ import annotations


class CannotMeasure(Exception):
    """The machine or the environment does not allow a measurement. The text is one sentence."""


class NotThere(Exception):
    """What would be measured is not part of the product yet. The text is a noun phrase."""


class WrongWork(Exception):
    """A job or a callback was lost, doubled or wrong. The text says which."""
