"""Operations on job types."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api.bodies import read_no_fields
from api.etags import has_current, read_precondition, show_etag
from api.queries import read_no_parameters, read_paging
from api.signing_secrets import read_overlap, represent_signing
from api.views import ApiView
from jobservice import ids
from jobservice.errors import NotFound
from jobservice.jobs.job_type_views import JobTypeView, find_job_type, list_job_types
from jobservice.jobs.job_types import delete_job_type, put_job_type, rotate_type_secret
from jobservice.jobs.representation import show_time
from jobservice.target_fields import MASK
from tenants.quotas import limit_of


class _WritingView(ApiView):
    """A type is of all queues: who says where its work is done is sent the payloads of every job of it."""

    required_scopes = frozenset({"types:write"})
    needs_every_queue = True


class PutJobType(_WritingView):
    def put(self, request: Request, name: str) -> Response:
        """Make the type (201) or replace it (200); a new `v1` secret of its own this once."""
        read_no_parameters(request)
        view, is_new = put_job_type(
            self.credential.tenant_id,
            name,
            request.data,
            precondition=read_precondition(request),
            max_types=limit_of(self.credential.quotas, "job_types"),
        )
        return _answer(view, status=201 if is_new else 200)


class DeleteJobType(_WritingView):
    def delete(self, request: Request, name: str) -> Response:
        """Forget the type (204), unless jobs of it are unfinished."""
        read_no_parameters(request)
        read_no_fields(request)
        delete_job_type(self.credential.tenant_id, name, precondition=read_precondition(request))
        return Response(status=204)


class RotateTypeSecret(_WritingView):
    def post(self, request: Request, name: str) -> Response:
        """Give the type a new secret of its own: 200, and a `v1` secret this once."""
        read_no_parameters(request)
        overlap_seconds = read_overlap(request)
        return _answer(rotate_type_secret(self.credential.tenant_id, name, overlap_seconds=overlap_seconds), status=200)


class ReadJobType(ApiView):
    required_scopes = frozenset({"jobs:read"})

    def get(self, request: Request, name: str) -> Response:
        """One type; 304 when the client has it already."""
        read_no_parameters(request)
        view = find_job_type(self.credential.tenant_id, name)
        if view is None:
            raise NotFound("There is no job type of this name.")
        # The tag stands for the type as it was written; that its endpoint is left alone is news each time.
        if view.throttled_until is None and has_current(request, view.revision):
            return Response(status=304, headers={"ETag": show_etag(view.revision)})
        return _answer(view, status=200)


class ListJobTypes(ApiView):
    required_scopes = frozenset({"jobs:read"})

    def get(self, request: Request) -> Response:
        """A page of the tenant's types, the newest first, and then of those that every tenant has."""
        paging = read_paging(request)
        page = list_job_types(self.credential.tenant_id, limit=paging.limit, cursor=paging.cursor)
        return Response({"data": [represent_job_type(view) for view in page.data], "next_cursor": page.next_cursor})


def represent_job_type(view: JobTypeView) -> dict[str, Any]:
    """The type as the API shows it: of its headers the names only."""
    return {
        "id": None if view.id is None else ids.show_id(ids.JOB_TYPE, view.id),
        "name": view.name,
        "executor": view.executor,
        "built_in": view.id is None,
        "http": _show_http(view),
        "handler": view.handler,
        "payload_schema": view.payload_schema,
        "defaults": view.defaults,
        "on_crash": view.on_crash,
        "disabled": _show_disabled(view),
        "throttled_until": show_time(view.throttled_until),
        "created_at": show_time(view.created_at),
        "updated_at": show_time(view.updated_at),
    }


def _show_disabled(view: JobTypeView) -> dict[str, Any] | None:
    if view.disabled_at is None:
        return None
    return {"at": show_time(view.disabled_at), "reason": view.disabled_reason}


def _show_http(view: JobTypeView) -> dict[str, Any] | None:
    if view.http is None or view.signing is None:
        return None
    signing = represent_signing(view.signing, public_key=view.public_key, secret=view.secret)
    return {"url": view.http.url, "headers": dict.fromkeys(view.http.headers, MASK), "signing": signing}


def _answer(view: JobTypeView, *, status: int) -> Response:
    headers = {"ETag": show_etag(view.revision)}
    if status == 201:
        headers["Location"] = f"/v1/job-types/{view.name}"
    return Response(represent_job_type(view), status=status, headers=headers)
