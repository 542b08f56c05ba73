"""The ids of jobs and bulk actions in addresses."""

from __future__ import annotations

from uuid import UUID

from jobservice import ids
from jobservice.errors import NotFound
from jobservice.jobs.bulk_actions import unknown_bulk_action


def read_job_id(text: str) -> UUID:
    """The id in an address. Raises `NotFound`: what is no id is the id of nothing."""
    job_id = ids.parse_id(ids.JOB, text)
    if job_id is None:
        raise unknown_job()
    return job_id


def unknown_job() -> NotFound:
    """The same for an unknown id, another tenant's, and one out of the key's reach; it does not repeat the id."""
    return NotFound("There is no job of this id.")


def read_bulk_action_id(text: str) -> UUID:
    """The id in an address. Raises `NotFound`, as `read_job_id` does."""
    action_id = ids.parse_id(ids.BULK_ACTION, text)
    if action_id is None:
        raise unknown_bulk_action()
    return action_id
