"""JSON as a page shows it. A browser would change large numbers: it is written here, every number as it is."""

from __future__ import annotations

import json
import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

# Longer texts are cut, and say so: a page of megabytes hangs.
MAX_CHARACTERS = 200_000
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def answer_json(request: HttpRequest, value: Any, *, title: str, back: str) -> HttpResponse:
    """A page of a value, to read and to copy."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return render(request, "console/json.html", {"code": text, "title": title, "back": back})


def indent_json(text: str) -> str:
    """JSON with a line for each member, its strings and numbers letter by letter as they were."""
    lines: list[str] = []
    line, depth = "", 0
    pieces = _PIECES.findall(text)
    for at, piece in enumerate(pieces):
        following = pieces[at + 1] if at + 1 < len(pieces) else ""
        if piece in "{[":
            if following in "}]" and following:
                line += piece
                continue
            lines.append(line + piece)
            depth += 1
            line = "  " * depth
        elif piece in "}]":
            is_empty = at > 0 and pieces[at - 1] in "{["
            if is_empty:
                line += piece
            else:
                lines.append(line)
                depth -= 1
                line = "  " * depth + piece
        elif piece == ",":
            lines.append(line + piece)
            line = "  " * depth
        else:
            line += ": " if piece == ":" else piece
    lines.append(line)
    return "\n".join(lines)


def cut_json(text: str) -> tuple[str, bool]:
    """The text as it may be shown, and whether that is only its beginning, which is not laid out."""
    is_cut = len(text) > MAX_CHARACTERS
    return (text[:MAX_CHARACTERS], True) if is_cut else (indent_json(text), False)
