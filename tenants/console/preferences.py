"""What somebody likes to see: colours, and the zone of times. Kept in cookies: they are of a browser, of no tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.console.access import ANYONE, ConsoleView
from tenants.console.answers import safe_next

THEME, ZONE = "console-theme", "console-zone"
_UTC, _BROWSER = "utc", "browser"
_YEAR_SECONDS = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Theme:
    value: str
    name: str | Promise
    icon: str


@dataclass(frozen=True, slots=True)
class Zone:
    """`value` is as the cookie holds it: `utc`, or `browser:` and the name of the browser's zone."""

    value: str
    name: str
    zone: tzinfo


THEMES = (
    Theme("system", gettext_lazy("As the system"), "monitor"),
    Theme("light", gettext_lazy("Light"), "sun"),
    Theme("dark", gettext_lazy("Dark"), "moon"),
)


class Preferences(ConsoleView):
    """Keeps a choice, and goes back to the page it was made on."""

    permission = ANYONE
    # Cookies of this browser, and nothing else.
    is_for_visitors = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        answer = HttpResponseRedirect(safe_next(request))
        if (theme := _find_theme(request.POST.get("theme"))) is not None:
            keep_cookie(request, answer, THEME, theme.value)
        if (zone := _find_zone(request.POST.get("zone"))) is not None:
            keep_cookie(request, answer, ZONE, zone.value)
        return answer


def read_theme(request: HttpRequest) -> Theme:
    return _find_theme(request.COOKIES.get(THEME)) or THEMES[0]


def read_zone(request: HttpRequest) -> Zone:
    return _find_zone(request.COOKIES.get(ZONE)) or Zone(_UTC, "UTC", UTC)


def show_themes(current: Theme) -> list[dict[str, Any]]:
    return [{"value": t.value, "name": t.name, "icon": t.icon, "is_current": t == current} for t in THEMES]


def show_zones(current: Zone) -> list[dict[str, Any]]:
    """The browser's zone only a script can tell, which puts its name behind the value."""
    is_browser = current.value != _UTC
    own = _("This browser's zone")
    return [
        {"value": _UTC, "name": "UTC", "is_current": not is_browser, "needs_script": False},
        {
            "value": current.value if is_browser else _BROWSER,
            "name": f"{own}: {current.name}" if is_browser else own,
            "is_current": is_browser,
            "needs_script": True,
        },
    ]


def _find_theme(value: str | None) -> Theme | None:
    return next((theme for theme in THEMES if theme.value == value), None)


def _find_zone(value: str | None) -> Zone | None:
    kind, _colon, name = (value or "")[:100].partition(":")
    if kind == _UTC:
        return Zone(_UTC, "UTC", UTC)
    if kind != _BROWSER:
        return None
    try:
        return Zone(f"{_BROWSER}:{name}", name, ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def keep_cookie(request: HttpRequest, answer: HttpResponseBase, name: str, value: str) -> None:
    """Let the browser keep a choice of the console's for a year."""
    answer.set_cookie(
        name,
        value,
        max_age=_YEAR_SECONDS,
        path="/console/",
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
