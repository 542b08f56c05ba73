"""`name:value` of a tag, as lists of jobs and bulk actions ask for it."""

from __future__ import annotations

from jobservice.field_checks import NAME, is_storable
from jobservice.jobs.submission import MAX_TAG_CHARACTERS

TAG_RULE = "tag must be name:value, as the job has it."


def parse_tag(text: str) -> tuple[str, str] | None:
    """The name and the value; None when no job can have such a tag."""
    name, colon, value = text.partition(":")
    if not colon or not NAME.fullmatch(name) or len(value) > MAX_TAG_CHARACTERS or not is_storable(value):
        return None
    return name, value
