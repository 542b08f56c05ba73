"""What a key may do: the scopes each operation declares, its queues, and no writes while suspended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from api.job_ids import read_job_id, unknown_job
from api.problems import ApiProblem
from jobservice.jobs.selectors import has_job
from tenants.api_keys import Credential

if TYPE_CHECKING:
    # At run time REST framework's views import this module by its name in the settings.
    from rest_framework.views import APIView

SUSPENDED = "suspended"


class HasDeclaredScopes(BasePermission):
    """Lets a request through that is within its key's rights; raises `ApiProblem` for the others."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or an exception that says what is missing."""
        credential = cast(Credential, request.auth)
        check_scopes(credential, view.required_scopes)  # type: ignore[attr-defined]  # ApiView has it, checked at start
        if credential.tenant_status == SUSPENDED and request.method not in SAFE_METHODS:
            raise ApiProblem("forbidden", "The tenant is suspended: it can read, but not write.")
        if "job_id" in view.kwargs:
            check_job(credential, view.kwargs["job_id"])
        return True


def check_scopes(credential: Credential, wanted: Iterable[str]) -> None:
    """Pass when the key has every scope. Raises `ApiProblem` (`insufficient-scope`) naming those it lacks."""
    missing = sorted(set(wanted) - credential.scopes)
    if missing:
        raise ApiProblem("insufficient-scope", f"The API key lacks the scope {' and '.join(missing)}.")


def check_job(credential: Credential, text: str) -> None:
    """Pass when the key reaches the job of an address: every operation on one job goes through here.

    Raises `NotFound`, the same for a job of another queue as for an unknown id, and before anything else is looked at,
    so that no later check tells them apart.
    """
    if credential.queues is not None and not has_job(credential.tenant_id, read_job_id(text), queues=credential.queues):
        raise unknown_job()
