"""API keys: what each may do and when it was used, and making, rotating and revoking them.

A key's text is on the answer to the form that made it, and nowhere after that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from jobservice.cursors import CursorScope
from jobservice.errors import Conflict, Fault, Forbidden, Invalid, NotFound, QuotaExceeded
from jobservice.ids import API_KEY, parse_id, show_id
from tenants.api_key_actors import MemberOfKeys
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
from tenants.api_key_requests import parse_key_request, parse_rotation
from tenants.api_key_rights import KeyRights
from tenants.console.access import ConsoleView
from tenants.console.answers import STATUSES
from tenants.console.curl import show_curl, show_post, with_key
from tenants.console.key_form import EXPIRIES, OVERLAPS, SCOPE_WORDS, read_form, read_overlap
from tenants.console.notices import tell
from tenants.console.person import Person
from tenants.models import ApiKey
from tenants.roles import KEYS

PAGE_SIZE = 50
# What a key of each scope may look at.
_LOOKS = {
    "jobs:read": "/v1/jobs",
    "tenant:read": "/v1/tenant",
    "webhooks:write": "/v1/event-types",
    "audit:read": "/v1/audit-events",
}
# Not by a key that is limited to queues.
_OF_ALL_QUEUES = frozenset({"audit:read"})


class KeyList(ConsoleView):
    permission = KEYS

    def get(self, request: HttpRequest) -> HttpResponseBase:
        tenant_id, cursor = self.person.tenant_id, request.GET.get("cursor") or None
        scope = CursorScope(tenant_id, "api-keys", {})
        before = None if cursor is None else UUID(bytes=scope.read(cursor))
        found, now = list_api_keys(tenant_id, limit=PAGE_SIZE + 1, before=before), datetime.now(UTC)
        shown, path = found[:PAGE_SIZE], reverse("console-KeyList")
        after = scope.show(shown[-1].id.bytes) if len(found) > PAGE_SIZE else None
        context = {
            "keys": [{**_row(key, now=now), "may_rotate": _may_hold(self.person, key)} for key in shown],
            "curl": show_curl(request, "/v1/api-keys"),
            "pager_first": path if cursor else None,
            "pager_next": f"{path}?{urlencode({'cursor': after})}" if after else None,
        }
        return render(request, "console/keys.html", context)


class MakeKey(ConsoleView):
    """The form asks for the proof too: what was typed would not come back from it."""

    permission = KEYS
    step_up = True

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self._ask(request, {"scopes": ["jobs:read", "jobs:write"], "expires": "365"})

    def post(self, request: HttpRequest) -> HttpResponseBase:
        form = {**request.POST.dict(), "scopes": request.POST.getlist("scopes")}
        try:
            wanted = parse_key_request(read_form(form, now=datetime.now(UTC)))
            shown = make_api_key(_actor(self.person), name=wanted.name, rights=wanted.rights)
        except Invalid as error:
            return self._ask(request, form, faults=error.faults, status=422)
        except (Forbidden, QuotaExceeded) as error:
            return self._ask(request, form, error=error.detail, status=STATUSES[type(error)])
        return _show_once(request, shown, title=_("The key is made"))

    def _ask(
        self,
        request: HttpRequest,
        form: dict[str, Any],
        *,
        faults: Sequence[Fault] = (),
        error: str = "",
        status: int = 200,
    ) -> HttpResponseBase:
        grantable = _actor(self.person).grantable
        scopes = [
            {"name": name, "words": words, "is_on": name in form["scopes"], "may_grant": name in grantable}
            for name, words in SCOPE_WORDS.items()
        ]
        told: dict[str, str] = {}
        for fault in faults:
            told.setdefault(fault.pointer.strip("/").split("/")[0], fault.detail)
        context = {
            "form": form,
            "scopes": scopes,
            "expiries": EXPIRIES,
            "faults": told,
            "error": error or told.get("expires_at", ""),
        }
        return render(request, "console/key_new.html", context, status=status)


class RotateKey(ConsoleView):
    permission = KEYS
    step_up = True

    def get(self, request: HttpRequest, key_id: str) -> HttpResponseBase:
        row = _row(_find(self.person.tenant_id, key_id), now=datetime.now(UTC))
        return render(request, "console/key_rotate.html", {"row": row, "overlaps": OVERLAPS})

    def post(self, request: HttpRequest, key_id: str) -> HttpResponseBase:
        seconds = parse_rotation(read_overlap(request.POST))
        try:
            shown = rotate_api_key(_actor(self.person), _read_id(key_id), overlap_seconds=seconds)
        except (Conflict, Forbidden) as refusal:
            tell(request, "warning", refusal.detail)
            return HttpResponseRedirect(reverse("console-KeyList"))
        if shown is None:
            raise _unknown()
        return _show_once(request, shown, title=_("The key has a new text"))


class RevokeKey(ConsoleView):
    permission = KEYS
    step_up = True

    def get(self, request: HttpRequest, key_id: str) -> HttpResponseBase:
        row = _row(_find(self.person.tenant_id, key_id), now=datetime.now(UTC))
        return render(request, "console/key_revoke.html", {"row": row})

    def post(self, request: HttpRequest, key_id: str) -> HttpResponseBase:
        if not revoke_api_key(_actor(self.person), _read_id(key_id)):
            raise _unknown()
        tell(request, "success", _("The key is revoked. No process takes it any more."))
        return HttpResponseRedirect(reverse("console-KeyList"))


def _show_once(request: HttpRequest, shown: ShownKey, *, title: str) -> HttpResponseBase:
    """The answer that holds the text: no address leads to it again."""
    context = {
        "title": title,
        "row": _row(shown.key, now=datetime.now(UTC)),
        "text": shown.text,
        "curl": _first_request(request, shown),
    }
    return render(request, "console/key_shown.html", context)


def _first_request(request: HttpRequest, shown: ShownKey) -> str:
    """Something that the key may do, as a line that works as it is; empty where there is nothing so harmless."""
    scopes, queues = shown.key.scopes, shown.key.queues
    if "jobs:write" in scopes:
        job = {"type": "echo", **({"queue": queues[0]} if queues else {}), "payload": {"hello": "world"}}
        return with_key(show_post(request, "/v1/jobs", json.dumps(job)), shown.text)
    barred = _OF_ALL_QUEUES if queues else frozenset()
    looks = [path for scope, path in _LOOKS.items() if scope in scopes and scope not in barred]
    return with_key(show_curl(request, looks[0]), shown.text) if looks else ""


def _row(key: ApiKey, *, now: datetime) -> dict[str, Any]:
    is_expired = key.expires_at is not None and key.expires_at <= now
    overlaps = key.previous_valid_until is not None and key.previous_valid_until > now
    return {
        "key": key,
        "id": show_id(API_KEY, key.id),
        "prefix": PREFIX + key.lookup_id,
        "state": "revoked" if key.revoked_at else "expired" if is_expired else "rotating" if overlaps else "live",
        "is_live": key.revoked_at is None and not is_expired,
    }


def _may_hold(person: Person, key: ApiKey) -> bool:
    """Whether the person may rotate the key, whose text they would then have."""
    try:
        check_rights(_actor(person), KeyRights(frozenset(key.scopes)))
    except Forbidden:
        return False
    return True


def _actor(person: Person) -> MemberOfKeys:
    return MemberOfKeys(person.tenant_id, person.member_id, person.role, person.may_read_payloads)


def _find(tenant_id: UUID, text: str) -> ApiKey:
    key = find_key(tenant_id, _read_id(text))
    if key is None:
        raise _unknown()
    return key


def _read_id(text: str) -> UUID:
    key_id = parse_id(API_KEY, text)
    if key_id is None:
        raise _unknown()
    return key_id


def _unknown() -> NotFound:
    return NotFound("There is no API key of this id.")
