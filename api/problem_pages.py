"""The page behind each problem's `type`: what happened and what to do about it, from the one table of problems."""

from __future__ import annotations

from html import escape

from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request

from api.problems import PROBLEM_TYPES
from api.views import PageView
from jobservice.errors import NotFound

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<p>Status {status}, code <code>{code}</code></p>
<h2>Cause</h2>
<p>{cause}</p>
<h2>Fix</h2>
<p>{fix}</p>
</body>
</html>
"""


class ReadProblemPage(PageView):
    def get(self, request: Request, code: str) -> HttpResponseBase:
        """The page of one code."""
        kind = PROBLEM_TYPES.get(code)
        if kind is None:
            raise NotFound("There is no problem of this code.")
        page = _PAGE.format(
            title=escape(kind.title),
            status=kind.status,
            code=escape(code),
            cause=escape(kind.cause),
            fix=escape(kind.fix),
        )
        return HttpResponse(page, headers={"Cache-Control": "public, max-age=3600"})
