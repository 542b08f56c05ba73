"""What stands around every page: the screens that there are, one's tenants, colours and zone. A context processor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobservice.ids import TENANT, show_id
from tenants.console.access import STAFF
from tenants.console.notices import take_notices
from tenants.console.preferences import read_theme, read_zone, show_themes, show_zones
from tenants.inbox import is_there
from tenants.roles import AUDIT, KEYS, MEMBERS, READ, WEBHOOKS

# An id in the place of which the palette puts one.
_ANY_JOB = "JOB"


@dataclass(frozen=True, slots=True)
class Screen:
    """A page of the navigation. `view` is its address's name; `key` jumps there after a `g`."""

    name: str | Promise
    view: str
    icon: str
    permission: str = READ
    key: str = ""


GROUPS: tuple[tuple[str | Promise, tuple[Screen, ...]], ...] = (
    (
        "",
        (
            Screen(gettext_lazy("Overview"), "console-Overview", "activity", key="o"),
            Screen(gettext_lazy("Jobs"), "console-JobList", "layers", key="j"),
            Screen(gettext_lazy("Errors"), "console-ErrorList", "bug", key="e"),
            Screen(gettext_lazy("Queues"), "console-QueueList", "list", key="q"),
            Screen(gettext_lazy("Schedules"), "console-ScheduleList", "calendar-clock", key="c"),
            Screen(gettext_lazy("Webhooks"), "console-EndpointList", "webhook", key="w"),
            Screen(gettext_lazy("Inbox"), "console-Inbox", "inbox", WEBHOOKS, "i"),
            Screen(gettext_lazy("Workers"), "console-WorkerList", "server", key="k"),
        ),
    ),
    (
        gettext_lazy("Tenant"),
        (
            Screen(gettext_lazy("API keys"), "console-KeyList", "key-round", KEYS, "a"),
            Screen(gettext_lazy("Members"), "console-ListMembers", "users", MEMBERS),
            Screen(gettext_lazy("Audit"), "console-AuditLog", "scroll-text", AUDIT, "l"),
            Screen(gettext_lazy("Usage"), "console-Usage", "gauge", key="u"),
            Screen(gettext_lazy("Settings"), "console-SettingsPage", "settings", key="s"),
        ),
    ),
    (
        gettext_lazy("Operator"),
        (
            Screen(gettext_lazy("Tenants"), "console-OperatorTenants", "building-2", STAFF, "t"),
            Screen(gettext_lazy("Health"), "console-OperatorHealth", "shield-check", STAFF, "h"),
        ),
    ),
)


def show_shell(request: HttpRequest) -> dict[str, Any]:
    """`shell`, `zone`, `now` and `notices`, each made when a template asks for it first."""
    return {
        "shell": SimpleLazyObject(lambda: _shell(request)),
        "zone": read_zone(request).zone,
        "now": datetime.now(UTC),
        "notices": SimpleLazyObject(lambda: take_notices(request)),
    }


def find_address(view: str, **kwargs: str) -> str | None:
    """The address of a page; None while there is none."""
    try:
        return reverse(view, kwargs=kwargs)
    except NoReverseMatch:
        return None


def _shell(request: HttpRequest) -> dict[str, Any]:
    person, standing = getattr(request, "person", None), getattr(request, "standing", None)
    groups = [(name, list(_screens(request, screens))) for name, screens in GROUPS]
    theme, zone = read_theme(request), read_zone(request)
    return {
        "home": find_address("console-Home"),
        "tenant_id": show_id(TENANT, person.tenant_id) if person else "",
        "tenant_name": person.tenant_name if person else None,
        "tenants": _tenants(person, standing),
        "choose_tenant": find_address("console-ChooseTenant"),
        "email": standing.email if standing else "",
        "role": person.role if person else "",
        "own": [_own(name, view, icon) for name, view, icon in _own_pages() if find_address(view)],
        "logout": find_address("console-LogOut"),
        "nav": [{"name": name, "screens": screens} for name, screens in groups if screens],
        "places": [screen for _name, screens in groups for screen in screens],
        "search": find_address("console-JobList") or "",
        "job": find_address("console-JobPage", job_id=_ANY_JOB) or "",
        "preferences": find_address("console-Preferences"),
        "theme": theme.value,
        "theme_icon": theme.icon,
        "themes": show_themes(theme),
        "zone_name": zone.name,
        "zones": show_zones(zone),
    }


def _screens(request: HttpRequest, screens: tuple[Screen, ...]) -> Iterator[dict[str, Any]]:
    allowed = _allowed(request)
    for screen in screens:
        href = find_address(screen.view)
        if href is None or screen.permission not in allowed:
            continue
        if screen.view == "console-Inbox" and not is_there():
            continue
        is_home = screen.view == "console-Overview" and request.path == find_address("console-Home")
        # The operators' tenants are under the address of their list.
        is_under = request.path.startswith(f"{href}/") and not request.path.startswith(f"{href}/health")
        is_current = is_home or request.path == href or is_under
        yield {
            "name": screen.name,
            "href": href,
            "icon": screen.icon,
            "key": screen.key,
            "is_current": is_current,
        }


def _allowed(request: HttpRequest) -> frozenset[str]:
    """What whoever asks may do: in the tenant, and as an operator, for whom a second factor opens the pages."""
    person, standing = getattr(request, "person", None), getattr(request, "standing", None)
    in_tenant: frozenset[str] = person.permissions if person else frozenset()
    return in_tenant | {STAFF} if standing and standing.is_staff else in_tenant


def _tenants(person: Any, standing: Any) -> list[dict[str, Any]]:
    memberships = standing.memberships if standing else ()
    return [
        {
            "id": show_id(TENANT, one.tenant_id),
            "name": one.tenant_name,
            "is_current": bool(person) and one.tenant_id == person.tenant_id,
        }
        for one in memberships
    ]


def _own_pages() -> list[tuple[str, str, str]]:
    return [
        (_("Your account"), "console-ShowAccount", "user-round"),
        (_("Second factors"), "console-ListFactors", "shield-check"),
    ]


def _own(name: str, view: str, icon: str) -> dict[str, str | None]:
    return {"name": name, "href": find_address(view), "icon": icon}
