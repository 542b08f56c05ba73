"""Parts of pages that are asked for again and again: answered by a 304 while nothing in them has changed."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from jobservice.field_checks import compact_json
from tenants.console.preferences import read_zone


def answer_part(request: HttpRequest, template: str, context: dict[str, Any], *, facts: object) -> HttpResponse:
    """The part, or a 304 when the caller has it. `facts` is all that it shows of the world, in JSON.

    How long ago things were is no fact: the page words that anew by itself.
    """
    tag = f'"{sha256(compact_json([template, read_zone(request).value, facts])).hexdigest()[:32]}"'
    # Packed answers bear a weak one.
    if request.headers.get("If-None-Match", "").removeprefix("W/") == tag:
        return HttpResponse(status=304, headers={"ETag": tag})
    answer = render(request, template, {**context, "is_part": True})
    answer["ETag"] = tag
    return answer
