"""Operations on job types."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from api.etags import read_if_match, show_etag
from api.queries import read_no_parameters, read_paging
from api.views import ApiView
from jobservice import ids
from jobservice.errors import NotFound
from jobservice.jobs.job_type_spec import MASK, SIGNING, HttpTarget
from jobservice.jobs.job_types import JobTypeView, delete_job_type, find_job_type, list_job_types, put_job_type
from jobservice.jobs.representation import show_time
from tenants.quotas import limit_of


class PutJobType(ApiView):
    required_scopes = frozenset({"types:write"})

    def put(self, request: Request, name: str) -> Response:
        """Make the type (201) or replace it (200)."""
        read_no_parameters(request)
        view, is_new = put_job_type(
            self.credential.tenant_id,
            name,
            request.data,
            precondition=read_if_match(request),
            max_types=limit_of(self.credential.quotas, "job_types"),
        )
        return _answer(view, status=201 if is_new else 200)


class DeleteJobType(ApiView):
    required_scopes = frozenset({"types:write"})

    def delete(self, request: Request, name: str) -> Response:
        """Forget the type (204), unless jobs of it are unfinished."""
        read_no_parameters(request)
        delete_job_type(self.credential.tenant_id, name, precondition=read_if_match(request))
        return Response(status=204)


class ReadJobType(ApiView):
    required_scopes = frozenset({"jobs:read"})

    def get(self, request: Request, name: str) -> Response:
        """One type."""
        read_no_parameters(request)
        view = find_job_type(self.credential.tenant_id, name)
        if view is None:
            raise NotFound("There is no job type of this name.")
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
        "http": None if view.http is None else _show_target(view.http),
        "handler": view.handler,
        "payload_schema": view.payload_schema,
        "defaults": view.defaults,
        "on_crash": view.on_crash,
        "created_at": show_time(view.created_at),
        "updated_at": show_time(view.updated_at),
    }


def _show_target(target: HttpTarget) -> dict[str, Any]:
    return {"url": target.url, "headers": dict.fromkeys(target.headers, MASK), "signing": SIGNING}


def _answer(view: JobTypeView, *, status: int) -> Response:
    headers = {"ETag": show_etag(view.version)}
    if status == 201:
        headers["Location"] = f"/v1/job-types/{view.name}"
    return Response(represent_job_type(view), status=status, headers=headers)
