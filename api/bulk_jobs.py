"""Submitting many jobs in one request."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import describe_refusal
from api.idempotency import run_once
from api.problems import MAX_FAULTS
from api.queries import read_no_parameters
from api.views import ApiView
from jobservice.errors import JobserviceError
from jobservice.jobs.bulk import Result, accept_bulk, parse_bulk
from jobservice.jobs.submission import SubmissionLimits
from tenants.quotas import limit_of, payload_bytes_limit, volume_limits

# Of all jobs together the answer names so many faults, and of each job at least these.
FAULTS_OF_ALL = 2000
LEAST_FAULTS = 10


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
            max_queues=limit_of(self.credential.quotas, "queues"),
            volume=volume_limits(self.credential.quotas),
        )
        # So that the answer does not grow to many times the request.
        most = min(MAX_FAULTS, max(LEAST_FAULTS, FAULTS_OF_ALL // len(results)))
        return Response({"data": [_show(request, place, result, most) for place, result in enumerate(results)]})


def _show(request: Request, place: int, result: Result, most_faults: int) -> dict[str, Any]:
    if isinstance(result, JobserviceError):
        problem = describe_refusal(request._request, result, most_faults=most_faults)
        return {"index": place, "status": problem["status"], "problem": problem}
    status = HTTPStatus.OK if result["deduplicated"] else HTTPStatus.CREATED
    return {"index": place, "status": status.value, "job": result}
