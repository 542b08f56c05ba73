"""The page that shows the API to people, and the few files it is made of. All of them come from here: no other host."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import drf_spectacular_sidecar
from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from rest_framework.request import Request

from api.views import PageView
from jobservice.errors import NotFound

_OWN = Path(__file__).resolve().parent / "assets"
_SWAGGER_UI = (
    Path(drf_spectacular_sidecar.__file__).resolve().parent / "static" / "drf_spectacular_sidecar" / "swagger-ui-dist"
)
# Only these files are served, whatever else the folders hold.
_ASSETS: Mapping[str, tuple[Path, str]] = {
    "start.js": (_OWN, "text/javascript; charset=utf-8"),
    "swagger-ui.css": (_SWAGGER_UI, "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": (_SWAGGER_UI, "text/javascript; charset=utf-8"),
    "favicon-32x32.png": (_SWAGGER_UI, "image/png"),
}
# Swagger UI sets its styles through the DOM and draws its icons from data: images; it needs nothing inline.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ReadDocs(PageView):
    def get(self, request: Request) -> HttpResponseBase:
        """The page."""
        page = (_OWN / "page.html").read_bytes()
        return HttpResponse(page, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})


class ReadAsset(PageView):
    def get(self, request: Request, name: str) -> HttpResponseBase:
        """One of the page's files; 304 when the browser has it already."""
        if name not in _ASSETS:
            raise NotFound("There is no file of this name.")
        asset = _read(name)
        is_compressed = "gzip" in request.headers.get("Accept-Encoding", "")
        answer = HttpResponse(
            asset.compressed if is_compressed else asset.content,
            content_type=asset.media_type,
            headers={"ETag": asset.etag, "Cache-Control": "public, max-age=3600"},
        )
        if is_compressed:
            answer["Content-Encoding"] = "gzip"
        patch_vary_headers(answer, ["Accept-Encoding"])
        return get_conditional_response(request._request, etag=asset.etag, response=answer) or answer


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    compressed: bytes
    media_type: str
    etag: str


@lru_cache(maxsize=len(_ASSETS))
def _read(name: str) -> _Asset:
    """The file as it is sent; compressed once, when it is first asked for."""
    folder, media_type = _ASSETS[name]
    content = (folder / name).read_bytes()
    # Weak: both forms of the file carry it.
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _Asset(content, gzip.compress(content, mtime=0), media_type, etag)
