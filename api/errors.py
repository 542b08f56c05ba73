"""From any exception of a request to its problem document: the domain's errors, the framework's, and the unexpected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from rest_framework.exceptions import APIException

from api.problems import PROBLEM_TYPES, ApiProblem, problem_document, problem_response
from jobservice.database import is_database_away, violated_constraint
from jobservice.errors import Fault, Invalid, JobserviceError, QuotaExceeded
from jobservice.jobs.representation import show_time
from jobservice.jobs.unique_claims import UniqueConflict
from jobservice.logs import log_event
from tenants.tenancy import ERASED_RULE

RETRY_AFTER_SECONDS = 2
_AWAY = "The database is away for a moment; try again."
_INTERNAL = "The service failed to answer this request; the fault is noted under its request_id."
_CODE_OF_STATUS = {kind.status: code for code, kind in reversed(list(PROBLEM_TYPES.items()))}


def answer_exception(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """REST framework's exception handler: every exception of a view becomes a problem document."""
    return answer_error(context["request"]._request, error)


def answer_error(request: HttpRequest, error: Exception) -> HttpResponse:
    """The problem document for this exception; an unexpected one is noted by its class only, and told to nobody."""
    match error:
        case ApiProblem():
            return problem_response(request, error.code, error.detail, headers=error.headers)
        case Invalid():
            return problem_response(request, error.code, error.detail, faults=error.faults)
        case QuotaExceeded():
            return _answer_quota(request, error)
        case UniqueConflict():
            return problem_response(request, error.code, error.detail, existing_id=error.existing_id)
        case JobserviceError() if error.code in PROBLEM_TYPES and error.code != "internal":
            headers = _retry_after() if error.code == "unavailable" else None
            return problem_response(request, error.code, error.detail, headers=headers)
        case _ if is_database_away(error):
            log_event("database_away", level="warning", error_class=_class_name(error))
            return problem_response(request, "unavailable", _AWAY, headers=_retry_after())
        case IntegrityError() if violated_constraint(error) == ERASED_RULE:
            return problem_response(request, "conflict", "The tenant was erased.")
        case APIException() if error.status_code in _CODE_OF_STATUS:
            return answer_status(request, error.status_code)
        case Http404():
            return problem_response(request, "not-found", "There is nothing at this address.")
        case PermissionDenied():
            return problem_response(request, "forbidden", f"{PROBLEM_TYPES['forbidden'].title}.")
        case SuspiciousOperation() | UnreadablePostError():
            return problem_response(request, "bad-request", f"{PROBLEM_TYPES['bad-request'].title}.")
    log_event("request_failed", level="error", error_class=_class_name(error))
    return problem_response(request, "internal", _INTERNAL)


def describe_refusal(request: HttpRequest, error: JobserviceError, *, most_faults: int) -> dict[str, Any]:
    """The problem document of one refused part of a request whose other parts were done."""
    if isinstance(error, QuotaExceeded):
        return problem_document(request, error.code, error.detail, faults=_faults_of(error), **_show_quota(error))
    faults = error.faults[:most_faults] if isinstance(error, Invalid) else ()
    members = {"existing_id": error.existing_id} if isinstance(error, UniqueConflict) else {}
    return problem_document(request, error.code, error.detail, faults=faults, **members)


def answer_status(request: HttpRequest, status: int) -> HttpResponse:
    """The problem document in place of an error page of the framework's own."""
    code = _CODE_OF_STATUS.get(status, "internal")
    return problem_response(request, code, f"{PROBLEM_TYPES[code].title}.")


def _answer_quota(request: HttpRequest, error: QuotaExceeded) -> HttpResponse:
    """Only a quota that frees by time has a time to come back at; of the others the tenant makes room itself."""
    headers = None if error.resets_at is None else {"Retry-After": str(_seconds_until(error.resets_at))}
    return problem_response(
        request,
        error.code,
        error.detail,
        headers=headers,
        faults=_faults_of(error),
        **_show_quota(error),
    )


def _faults_of(error: QuotaExceeded) -> list[Fault]:
    """Which field of the request asks for more, where it is one field."""
    return [] if error.pointer is None else [Fault(error.pointer, error.code, error.detail)]


def _show_quota(error: QuotaExceeded) -> dict[str, Any]:
    return {
        "violated_policies": [error.quota],
        "limit": error.limit,
        "used": error.used,
        "resets_at": show_time(error.resets_at),
    }


def _seconds_until(moment: datetime) -> int:
    return max(1, math.ceil((moment - datetime.now(UTC)).total_seconds()))


def _retry_after() -> dict[str, str]:
    return {"Retry-After": str(RETRY_AFTER_SECONDS)}


def _class_name(error: Exception) -> str:
    return type(error.__cause__ or error).__name__
