"""What a key may do: the scopes each operation declares, its queues, and no writes while suspended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from api.job_ids import read_bulk_action_id, read_job_id, unknown_job
from api.problems import ApiProblem
from jobservice.jobs.bulk_action_request import ACTIONS
from jobservice.jobs.bulk_actions import ALL_ACTIONS, find_bulk_action, unknown_bulk_action
from jobservice.jobs.bulk_kinds import REPLAY
from jobservice.jobs.queues import unknown_queue
from jobservice.jobs.selectors import has_job
from tenants.api_keys import Credential

if TYPE_CHECKING:
    # At run time REST framework's views import this module by its name in the settings.
    from rest_framework.views import APIView

    from api.views import ApiView

SUSPENDED = "suspended"


class HasDeclaredScopes(BasePermission):
    """Lets a request through that is within its key's rights; raises `ApiProblem` for the others."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or an exception that says what is missing."""
        credential, operation = cast(Credential, request.auth), cast("ApiView", view)
        check_operation(credential, operation)
        if credential.tenant_status == SUSPENDED and request.method not in SAFE_METHODS:
            raise ApiProblem("forbidden", "The tenant is suspended: it can read, but not write.")
        check_every_queue(credential, operation)
        if "job_id" in view.kwargs:
            check_job(credential, view.kwargs["job_id"])
        if "queue" in view.kwargs:
            check_queue(credential, view.kwargs["queue"])
        if "bulk_action_id" in view.kwargs:
            check_bulk_action(credential, operation, view.kwargs["bulk_action_id"])
        return True


def check_operation(credential: Credential, view: ApiView) -> None:
    """Pass when the key has every scope that the operation requires, or those that do as well.

    Raises `ApiProblem` (`insufficient-scope`) naming the required ones that it lacks.
    """
    if not (view.other_scopes and view.other_scopes <= credential.scopes):
        check_scopes(credential, view.required_scopes)


def check_scopes(credential: Credential, wanted: Iterable[str]) -> None:
    """Pass when the key has every scope. Raises `ApiProblem` (`insufficient-scope`) naming those it lacks."""
    missing = sorted(set(wanted) - credential.scopes)
    if missing:
        raise ApiProblem("insufficient-scope", f"The API key lacks the scope {' and '.join(missing)}.")


def check_every_queue(credential: Credential, view: ApiView) -> None:
    """Pass unless the key is limited to queues and the operation is about all of them.

    Raises `ApiProblem` (`forbidden`) before anything is looked up, so that an unknown id is answered like a known one.
    """
    if credential.queues is not None and view.needs_every_queue:
        raise ApiProblem("forbidden", "The API key is limited to queues, and this is about the jobs of all of them.")


def check_job(credential: Credential, text: str) -> None:
    """Pass when the key reaches the job of an address: every operation on one job goes through here.

    Raises `NotFound`, the same for a job of another queue as for an unknown id, and before anything else is looked at,
    so that no later check tells them apart.
    """
    if credential.queues is not None and not has_job(credential.tenant_id, read_job_id(text), queues=credential.queues):
        raise unknown_job()


def check_queue(credential: Credential, name: str) -> None:
    """Pass when the key reaches the queue of an address: every operation on one queue goes through here.

    Raises `NotFound`, the same for a queue out of its reach as for an unknown one, as `check_job` does.
    """
    if credential.queues is not None and name not in credential.queues:
        raise unknown_queue()


def reach_actions(credential: Credential, view: ApiView) -> tuple[str, ...]:
    """What the bulk actions do that the key reaches by this operation: to jobs by the scopes that it requires, to
    deliveries by its other ones."""
    on_jobs = ACTIONS if view.required_scopes <= credential.scopes else ()
    on_deliveries = (REPLAY,) if view.other_scopes <= credential.scopes else ()
    return (*on_jobs, *on_deliveries)


def check_bulk_action(credential: Credential, view: ApiView, text: str) -> None:
    """Pass when the bulk action of an address reaches no further than the key.

    Raises `NotFound`, the same for one that does as for an unknown id, as `check_job` does.
    """
    queues, actions = credential.queues, reach_actions(credential, view)
    if queues is None and set(actions) == set(ALL_ACTIONS):
        return
    wanted = read_bulk_action_id(text)
    if find_bulk_action(credential.tenant_id, wanted, queues=queues, actions=actions) is None:
        raise unknown_bulk_action()
