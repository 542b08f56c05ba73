"""`POST /dev/inbox/…`: takes a callback as a receiver would, verifies it, and keeps it for the page to show.

It opens no session and reads no cookie, so there is nothing that a forged form could use. Only what this installation
itself sends is taken: it bears our own mark, and knows the word in the address.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Mapping
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from jobservice.egress.headers import LOOP_HEADER
from jobservice.errors import SealingError
from jobservice.ids import TENANT, parse_id
from jobservice.webhooks.signing import sign
from tenants.context import tenant_tx
from tenants.inbox import MOST_BODY_CHARACTERS, Callback, inbox_word, is_there, keep_callback
from tenants.root_keys import root_keyring
from tenants.signing_secrets import every_secret

# A callback with the largest result, and room for what stands around it.
MOST_BODY_BYTES = 512 * 1024
_MOST_ID_CHARACTERS, _MOST_TYPE_CHARACTERS = 200, 100
_TOLERANCE_SECONDS = 300
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


def show_inbox(request: HttpRequest) -> HttpResponseBase:
    """To the page, which stands in the console."""
    if not is_there() or request.method not in ("GET", "HEAD"):
        raise Http404
    return HttpResponseRedirect(reverse("console-Inbox"))


def receive_callback(request: HttpRequest, tenant_id: str, word: str) -> HttpResponseBase:
    """204 when it was kept; 404 for whatever was not sent by this installation to a tenant's own inbox."""
    tenant = parse_id(TENANT, tenant_id)
    if not is_there() or request.method != "POST" or tenant is None or not _is_ours(request, tenant, word):
        raise Http404
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return HttpResponse(status=400)
    if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_BODY_BYTES:
        return HttpResponse(status=413)
    headers = {name: request.headers.get(name, "") for name in _HEADERS}
    try:
        is_verified = _is_verified(tenant, headers, request.body)
        keep_callback(tenant, _callback(headers, request.body, is_verified=is_verified))
    except SealingError:
        # The tenant was erased, and its keys with it.
        raise Http404 from None
    return HttpResponse(status=204)


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the three headers of Standard Webhooks sign this body under the secret, within five minutes of now."""
    if any(given.startswith("v1a,") for given in headers["webhook-signature"].split(" ")):
        return _verify_v1a(secret, headers, body)
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError, binascii.Error):
        return False
    return True


def _verify_v1a(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """The package of Standard Webhooks knows `v1` only; Ed25519 signs the same bytes with the same signature."""
    try:
        timestamp = int(headers["webhook-timestamp"])
        wanted = sign([secret], message_id=headers["webhook-id"], timestamp=timestamp, body=body, scheme="v1a")
    except ValueError:
        return False
    is_fresh = abs(time.time() - timestamp) < _TOLERANCE_SECONDS
    given = [base64_of(one) for one in headers["webhook-signature"].split(" ")]
    return is_fresh and any(hmac.compare_digest(base64_of(wanted), one) for one in given)


def base64_of(signature: str) -> bytes:
    """The bytes of one signature; none of one that is malformed."""
    try:
        return base64.b64decode(signature.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        return b""


def _is_ours(request: HttpRequest, tenant_id: UUID, word: str) -> bool:
    mark = request.headers.get(LOOP_HEADER, "")
    return mark.isascii() and root_keyring().is_own_mark(mark) and hmac.compare_digest(inbox_word(tenant_id), word)


def _is_verified(tenant_id: UUID, headers: Mapping[str, str], body: bytes) -> bool:
    """By any secret that signs for the tenant today: the inbox does not know which of its receivers it stands for."""
    with tenant_tx(tenant_id):
        secrets = every_secret(tenant_id)
    return any(verify(secret, headers, body) for secret in secrets)


def _callback(headers: Mapping[str, str], body: bytes, *, is_verified: bool) -> Callback:
    text = body.decode(errors="replace")
    return Callback(
        received_at=time.time(),
        webhook_id=headers["webhook-id"][:_MOST_ID_CHARACTERS],
        event=_type_of(body)[:_MOST_TYPE_CHARACTERS],
        is_verified=is_verified,
        body=text[:MOST_BODY_CHARACTERS],
        is_cut=len(text) > MOST_BODY_CHARACTERS,
    )


def _type_of(body: bytes) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    named = document.get("type") if isinstance(document, dict) else None
    return named if isinstance(named, str) else ""
