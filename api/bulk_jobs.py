"""Submitting many jobs in one request."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import describe_refusal
from api.idempotency import run_once
from api.queries import read_no_parameters
from api.views import ApiView
from jobservice.errors import JobserviceError
from jobservice.jobs.bulk import Result, accept_bulk, parse_bulk
from jobservice.jobs.submission import SubmissionLimits
from tenants.quotas import payload_bytes_limit


class SubmitJobs(ApiView):
    required_scopes = frozenset({"jobs:write"})
    # Many small jobs may be larger together than one alone.
    least_body_bytes = 8 * 1024**2

    def post(self, request: Request) -> HttpResponseBase:
        """Accept up to 1,000 jobs: 200, with a status and a job or a problem for each."""
        read_no_parameters(request)
        return run_once(request, self.credential, lambda: self._submit(request))

    def _submit(self, request: Request) -> Response:
        results = accept_bulk(
            self.credential.tenant_id,
            parse_bulk(request.data),
            limits=SubmissionLimits(payload_bytes_limit(self.credential.quotas)),
            queues=self.credential.queues,
            traceparent=request.META.get("HTTP_TRACEPARENT"),
        )
        return Response({"data": [_show(request, place, result) for place, result in enumerate(results)]})


def _show(request: Request, place: int, result: Result) -> dict[str, Any]:
    if isinstance(result, JobserviceError):
        problem = describe_refusal(request._request, result)
        return {"index": place, "status": problem["status"], "problem": problem}
    return {"index": place, "status": HTTPStatus.CREATED.value, "job": result}
