"""Operations on groups of errors: those that are the same, and what somebody says of them."""

from __future__ import annotations

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from api.jobs import show_page
from api.queries import read_error_query, read_no_parameters
from api.views import ApiView
from jobservice import ids
from jobservice.jobs.error_group_reads import (
    change_error_group,
    find_error_group,
    list_error_groups,
    parse_error_group_change,
    unknown_error_group,
)


class ListErrorGroups(ApiView):
    required_scopes = frozenset({"jobs:read"})
    needs_every_queue = True

    def get(self, request: Request) -> Response:
        """A page of the groups, the last seen first."""
        filters, paging = read_error_query(request)
        page = list_error_groups(self.credential.tenant_id, filters, limit=paging.limit, cursor=paging.cursor)
        return Response(show_page(page))


class ReadErrorGroup(ApiView):
    required_scopes = frozenset({"jobs:read"})
    needs_every_queue = True

    def get(self, request: Request, error_group_id: str) -> Response:
        """One group."""
        read_no_parameters(request)
        shown = find_error_group(self.credential.tenant_id, _read_id(error_group_id))
        if shown is None:
            raise unknown_error_group()
        return Response(shown)


class ChangeErrorGroup(ApiView):
    required_scopes = frozenset({"jobs:write"})
    needs_every_queue = True

    def patch(self, request: Request, error_group_id: str) -> Response:
        """Say that it is open, resolved or ignored: 200 with the group as it is now."""
        read_no_parameters(request)
        group_id = _read_id(error_group_id)
        return Response(change_error_group(self.credential.tenant_id, group_id, parse_error_group_change(request.data)))


def _read_id(text: str) -> UUID:
    """The id in an address. Raises `NotFound`: what is no id is the id of nothing."""
    group_id = ids.parse_id(ids.ERROR_GROUP, text)
    if group_id is None:
        raise unknown_error_group()
    return group_id
