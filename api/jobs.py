"""Operations on jobs: submit, read, list, change, erase, and the story of one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api.bodies import read_no_fields
from api.idempotency import run_once
from api.job_ids import read_job_id, unknown_job
from api.permissions import check_scopes
from api.preferences import read_wait
from api.queries import read_include, read_job_query, read_no_parameters, read_paging
from api.rendering import WithParts
from api.views import ApiView
from jobservice.database import give_back_connection
from jobservice.jobs.accept import accept_job
from jobservice.jobs.cancel import cancel_job
from jobservice.jobs.change import change_job, parse_change
from jobservice.jobs.end_watch import end_watch
from jobservice.jobs.erase import erase_job
from jobservice.jobs.retry import retry_job
from jobservice.jobs.selectors import Page, find_job, is_over, list_jobs
from jobservice.jobs.submission import SubmissionLimits, parse_submission
from jobservice.jobs.timeline import list_attempts, list_events
from tenants.quotas import limit_of, payload_bytes_limit, volume_limits


class SubmitJob(ApiView):
    required_scopes = frozenset({"jobs:write"})

    def post(self, request: Request) -> HttpResponseBase:
        """Accept a job: 201 and where it is; 200 and where the job is that holds its unique key."""
        read_no_parameters(request)
        return run_once(request, self.credential, lambda: self._submit(request))

    def _submit(self, request: Request) -> Response:
        limits = SubmissionLimits(payload_bytes_limit(self.credential.quotas))
        submission = parse_submission(request.data, limits=limits, traceparent=request.META.get("HTTP_TRACEPARENT"))
        job = accept_job(
            self.credential.tenant_id,
            submission,
            queues=self.credential.queues,
            max_queues=limit_of(self.credential.quotas, "queues"),
            limits=volume_limits(self.credential.quotas),
        )
        status = 200 if job["deduplicated"] else 201
        return Response(job, status=status, headers={"Location": f"/v1/jobs/{job['id']}"})


class ListJobs(ApiView):
    required_scopes = frozenset({"jobs:read"})

    def get(self, request: Request) -> Response:
        """A page of the jobs that the key reaches, the newest first."""
        filters, paging = read_job_query(request)
        filters = replace(filters, queues=self.credential.queues)
        page = list_jobs(self.credential.tenant_id, filters=filters, limit=paging.limit, cursor=paging.cursor)
        return Response(show_page(page))


class ReadJob(ApiView):
    required_scopes = frozenset({"jobs:read"})

    def get(self, request: Request, job_id: str) -> Response:
        """One job, with the parts that `include` names; with `Prefer: wait`, once it is over or the time is up."""
        include = read_include(request)
        if include:
            check_scopes(self.credential, {"payloads:read"})
        wanted = read_job_id(job_id)
        seconds = read_wait(request)
        has_waited = seconds is not None and _wait_for_end(self.credential.tenant_id, wanted, seconds)
        found = find_job(self.credential.tenant_id, wanted, include=include)
        if found is None:
            raise unknown_job()
        headers = {"Preference-Applied": f"wait={seconds}"} if has_waited else None
        return Response(WithParts(found.job, found.parts), headers=headers)


class ChangeJob(ApiView):
    required_scopes = frozenset({"jobs:write"})

    def patch(self, request: Request, job_id: str) -> Response:
        """Alter a job that waits: 200 with the job as it is now."""
        read_no_parameters(request)
        wanted = read_job_id(job_id)
        return Response(change_job(self.credential.tenant_id, wanted, parse_change(request.data)))


class EraseJob(ApiView):
    required_scopes = frozenset({"jobs:write"})

    def delete(self, request: Request, job_id: str) -> Response:
        """Erase a job that is over, and all its data: 204."""
        read_no_parameters(request)
        read_no_fields(request)
        erase_job(self.credential.tenant_id, read_job_id(job_id))
        return Response(status=204)


class CancelJob(ApiView):
    required_scopes = frozenset({"jobs:write"})

    def post(self, request: Request, job_id: str) -> Response:
        """End a job that waits, or ask the run of one to stop: 200 with the job as it is now."""
        read_no_parameters(request)
        read_no_fields(request)
        return Response(cancel_job(self.credential.tenant_id, read_job_id(job_id)))


class RetryJob(ApiView):
    required_scopes = frozenset({"jobs:write"})

    def post(self, request: Request, job_id: str) -> Response:
        """Let a job run again that ended, failed or is held: 200 with the job as it is now."""
        read_no_parameters(request)
        read_no_fields(request)
        job = retry_job(
            self.credential.tenant_id,
            read_job_id(job_id),
            queues=self.credential.queues,
            limits=volume_limits(self.credential.quotas),
        )
        return Response(job)


class ListAttempts(ApiView):
    required_scopes = frozenset({"jobs:read"})

    def get(self, request: Request, job_id: str) -> Response:
        """A page of a job's ended attempts, the newest first."""
        paging = read_paging(request)
        tenant_id = self.credential.tenant_id
        return _answer_page(list_attempts(tenant_id, read_job_id(job_id), limit=paging.limit, cursor=paging.cursor))


class ListJobEvents(ApiView):
    required_scopes = frozenset({"jobs:read"})

    def get(self, request: Request, job_id: str) -> Response:
        """A page of a job's timeline, in the order of time."""
        paging = read_paging(request)
        tenant_id = self.credential.tenant_id
        return _answer_page(list_events(tenant_id, read_job_id(job_id), limit=paging.limit, cursor=paging.cursor))


def show_page(page: Page) -> dict[str, Any]:
    """A page as every list answers it."""
    return {"data": page.data, "next_cursor": page.next_cursor}


def _wait_for_end(tenant_id: UUID, job_id: UUID, seconds: int) -> bool:
    """Wait until the job is over or the time is up; False when there is no place to wait, so that nobody has waited."""
    with end_watch().watch(tenant_id, job_id) as watched:
        if is_over(tenant_id, job_id) is not False:
            return True
        if watched is None:
            return False
        give_back_connection()
        watched.wait(seconds)
        return True


def _answer_page(page: Page | None) -> Response:
    if page is None:
        raise unknown_job()
    return Response(show_page(page))
