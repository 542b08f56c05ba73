"""What a page says of the act before it: kept in the session from the act to the next page, and shown once."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest

Level = Literal["success", "error", "warning", "info"]
_KEY = "notices"
_MOST = 5


def tell(request: HttpRequest, level: Level, text: str, *, href: str = "", link: str = "") -> None:
    """Say so on the next page. The text is shown as it is and never as markup."""
    notice = {"level": level, "text": text, "href": href, "link": link}
    request.session[_KEY] = [*request.session.get(_KEY, ()), notice][-_MOST:]


def take_notices(request: HttpRequest) -> list[dict[str, Any]]:
    """What is to be said, and is then forgotten."""
    session = getattr(request, "session", None)
    if session is None or _KEY not in session:
        return []
    taken: list[dict[str, Any]] = session.pop(_KEY)
    return taken
