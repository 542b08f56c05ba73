"""The operation that hands out the document, as it is kept in the repository."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.request import Request

from api.queries import read_no_parameters
from api.rendering import ApiRenderer
from api.views import PublicView

DOCUMENT_PATH = Path(__file__).resolve().parent / "openapi.json"
_HEADERS = {
    "Cache-Control": "public, max-age=300",
    # The document is public, and tools that show it run elsewhere.
    "Access-Control-Allow-Origin": "*",
}


class ReadDocument(PublicView):
    def get(self, request: Request) -> HttpResponseBase:
        """The document; 304 when the client has it already."""
        read_no_parameters(request)
        content, etag = _read()
        answer = HttpResponse(content, content_type=ApiRenderer.media_type, headers={**_HEADERS, "ETag": etag})
        return get_conditional_response(request._request, etag=etag, response=answer) or answer


@lru_cache(maxsize=1)
def _read() -> tuple[bytes, str]:
    content = DOCUMENT_PATH.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
