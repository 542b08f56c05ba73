"""How moments and durations are worded. Pure; `static/console/app.js` words them the same while a page is open."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from django.utils.translation import gettext as _

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def show_relative(moment: datetime, *, now: datetime) -> str:
    """How long ago, or in how long: `12 s ago`, `in 3 h`, `just now`."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 1:
        return _("just now")
    length = _coarse(abs(seconds))
    return _("%(length)s ago") % {"length": length} if seconds > 0 else _("in %(length)s") % {"length": length}


def show_exact(moment: datetime, *, zone: tzinfo) -> str:
    """The moment to the millisecond, and in which zone: `2026-11-26 10:00:54.120 UTC`."""
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03} {local.tzname()}"


def show_duration(milliseconds: float) -> str:
    """`7 ms`, `1.42 s`, `12.3 s`, `2 m 05 s`, `3 h 12 m`, `4 d 02 h`."""
    if milliseconds < 1000:
        return f"{round(milliseconds)} ms"
    seconds = milliseconds / 1000
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} m {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} m"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR:02} h"


def parse_moment(text: str) -> datetime:
    """A moment as the domain shows it (RFC 3339)."""
    return datetime.fromisoformat(text)


def between(start: datetime, end: datetime) -> float:
    """The milliseconds from one to the other, none when they are the wrong way round."""
    return max(0.0, (end - start) / timedelta(milliseconds=1))


def _coarse(seconds: float) -> str:
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
