"""Operations on the tenant's API keys. A key's text is answered when it is made or rotated, and never again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api.bodies import read_no_fields, read_optional_body
from api.idempotency import run_once
from api.queries import read_no_parameters, read_paging
from api.views import ApiView
from jobservice import ids
from jobservice.cursors import CursorScope
from jobservice.errors import NotFound
from jobservice.jobs.representation import show_time
from tenants.api_key_changes import (
    ShownKey,
    check_rights,
    find_key,
    list_api_keys,
    make_api_key,
    revoke_api_key,
    rotate_api_key,
)
from tenants.api_key_format import PREFIX
from tenants.api_key_requests import KeyRequest, parse_key_request, parse_rotation
from tenants.models import ApiKey


class MakeApiKey(ApiView):
    required_scopes = frozenset({"keys:write"})

    def post(self, request: Request) -> HttpResponseBase:
        """Make a key within the rights of the key that asks: 201, and the whole key this once."""
        read_no_parameters(request)
        wanted = parse_key_request(request.data)
        # Before an answer is repeated, too: what another key was given is not for one of fewer rights.
        check_rights(self.credential, wanted.rights)
        return run_once(request, self.credential, lambda: self._make(wanted))

    def _make(self, wanted: KeyRequest) -> Response:
        shown = make_api_key(self.credential, name=wanted.name, rights=wanted.rights)
        answer = _with_text(shown)
        return Response(answer, status=201, headers={"Location": f"/v1/api-keys/{answer['id']}"})


class ListApiKeys(ApiView):
    """Reading keys shows no secret, so it takes `tenant:read` and not the right to make keys."""

    required_scopes = frozenset({"tenant:read"})

    def get(self, request: Request) -> Response:
        """A page of keys, the newest first; those that are over among them."""
        paging = read_paging(request)
        tenant_id = self.credential.tenant_id
        scope = CursorScope(tenant_id, "api-keys", {})
        before = None if paging.cursor is None else UUID(bytes=scope.read(paging.cursor))
        found = list_api_keys(tenant_id, limit=paging.limit + 1, before=before)
        shown = found[: paging.limit]
        next_cursor = scope.show(shown[-1].id.bytes) if len(found) > paging.limit else None
        return Response({"data": [represent_api_key(key) for key in shown], "next_cursor": next_cursor})


class ReadApiKey(ApiView):
    """Takes `tenant:read`, like the list."""

    required_scopes = frozenset({"tenant:read"})

    def get(self, request: Request, key_id: str) -> Response:
        """One key."""
        read_no_parameters(request)
        key = find_key(self.credential.tenant_id, _read_key_id(key_id))
        if key is None:
            raise _unknown_key()
        return Response(represent_api_key(key))


class RotateApiKey(ApiView):
    required_scopes = frozenset({"keys:write"})

    def post(self, request: Request, key_id: str) -> Response:
        """Replace the key's text; the old one works for `overlap_seconds` more."""
        read_no_parameters(request)
        # Nothing is required of it, so there may be no body at all.
        overlap_seconds = parse_rotation(read_optional_body(request))
        shown = rotate_api_key(self.credential, _read_key_id(key_id), overlap_seconds=overlap_seconds)
        if shown is None:
            raise _unknown_key()
        return Response(_with_text(shown))


class RevokeApiKey(ApiView):
    required_scopes = frozenset({"keys:write"})

    def delete(self, request: Request, key_id: str) -> Response:
        """End the key: no process takes it from now on. It stays in the list."""
        read_no_parameters(request)
        read_no_fields(request)
        if not revoke_api_key(self.credential, _read_key_id(key_id)):
            raise _unknown_key()
        return Response(status=204)


def represent_api_key(key: ApiKey) -> dict[str, Any]:
    """The key as the API shows it."""
    return {
        "id": ids.show_id(ids.API_KEY, key.id),
        "name": key.name,
        "prefix": PREFIX + key.lookup_id,
        "scopes": key.scopes,
        "queues": key.queues,
        "cidrs": key.cidrs,
        "created_at": show_time(key.created_at),
        "expires_at": show_time(key.expires_at),
        "last_used_at": show_time(key.last_used_at),
        "rotated_at": show_time(key.rotated_at),
        "previous_valid_until": show_time(key.previous_valid_until),
        "revoked_at": show_time(key.revoked_at),
    }


def _with_text(shown: ShownKey) -> dict[str, Any]:
    return {**represent_api_key(shown.key), "key": shown.text}


def _read_key_id(text: str) -> UUID:
    key_id = ids.parse_id(ids.API_KEY, text)
    if key_id is None:
        raise _unknown_key()
    return key_id


def _unknown_key() -> NotFound:
    """The same for an unknown id and another tenant's."""
    return NotFound("There is no API key of this id.")
