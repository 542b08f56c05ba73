"""The console's small components: what stands in a line of text or in a cell. Larger ones are templates in `parts/`;
what is drawn from a number is in `figures.py`.

Everything goes through `format_html`: what comes from people is escaped, and nothing is marked as safe by itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django import template
from django.template.context import Context
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tenants.console.assets import version_of
from tenants.console.job_query import join_words
from tenants.console.times import parse_moment, show_duration, show_exact, show_relative
from tenants.console.tones import (
    DELIVERY_STATES,
    ERROR_STATES,
    JOB_STATES,
    NEWS,
    OUTCOMES,
    WORKER_STATES,
    Tone,
    tone_of,
)

register = template.Library()
_NONE = format_html('<span class="quiet">{}</span>', "\u2013")
_FOCUSABLE = format_html(' tabindex="{}"', 0)


@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """An icon of the sprite, which says nothing to who hears the page: a word stands with it."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        classes,
        asset("icons.svg"),
        name,
    )


@register.simple_tag
def job_state(name: str) -> SafeString:
    return _chip(tone_of(JOB_STATES, name))


@register.simple_tag
def outcome(name: str) -> SafeString:
    return _chip(tone_of(OUTCOMES, name))


@register.simple_tag
def delivery_state(name: str) -> SafeString:
    return _chip(tone_of(DELIVERY_STATES, name))


@register.simple_tag
def error_state(name: str) -> SafeString:
    return _chip(tone_of(ERROR_STATES, name))


@register.simple_tag
def worker_state(name: str) -> SafeString:
    return _chip(tone_of(WORKER_STATES, name))


@register.simple_tag
def state_icon(name: str, classes: str = "") -> SafeString:
    return icon(tone_of(JOB_STATES, name).icon, classes)


@register.filter
def state_word(name: str) -> str:
    return str(tone_of(JOB_STATES, name).word)


@register.filter
def state_tone(name: str) -> str:
    return tone_of(JOB_STATES, name).name


@register.simple_tag
def news_icon(level: str) -> SafeString:
    return icon(tone_of(NEWS, level).icon)


@register.simple_tag(takes_context=True)
def when(context: Context, moment: datetime | str | None, focusable: bool = True) -> SafeString:
    """How long ago or in how long; the exact moment, in the zone that was chosen, on hover and on focus."""
    if not moment:
        return _NONE
    at = parse_moment(moment) if isinstance(moment, str) else moment
    now = context.get("now") or datetime.now(UTC)
    return format_html(
        '<time class="when" datetime="{}" data-exact="{}"{}>{}</time>',
        at.isoformat(timespec="milliseconds"),
        show_exact(at, zone=context.get("zone") or UTC),
        _FOCUSABLE if focusable else "",
        show_relative(at, now=now),
    )


@register.simple_tag(takes_context=True)
def exactly(context: Context, moment: datetime | str | None) -> SafeString:
    """The moment itself, in the zone that was chosen."""
    if not moment:
        return _NONE
    at = parse_moment(moment) if isinstance(moment, str) else moment
    shown = show_exact(at, zone=context.get("zone") or UTC)
    return format_html('<time class="num" datetime="{}">{}</time>', at.isoformat(timespec="milliseconds"), shown)


@register.simple_tag(takes_context=True)
def clock(context: Context, moment: datetime) -> SafeString:
    """The hour and minute of a moment of today, in the zone that was chosen."""
    zone = context.get("zone") or UTC
    at = moment.isoformat(timespec="milliseconds")
    return format_html('<time class="num" datetime="{}">{}</time>', at, f"{moment.astimezone(zone):%H:%M}")


@register.simple_tag
def took(milliseconds: float | None) -> SafeString:
    if milliseconds is None:
        return _NONE
    return format_html('<span class="num">{}</span>', show_duration(milliseconds))


@register.simple_tag
def seconds(count: float | None) -> SafeString:
    return took(None if count is None else count * 1000)


@register.filter
def grouped(number: int) -> str:
    """A count with thin spaces between its thousands."""
    return f"{number:,}".replace(",", "\u202f")


@register.simple_tag
def copy(text: str, what: str = "") -> SafeString:
    """A button that copies the text; there only with a script."""
    return format_html(
        '<button type="button" class="copy needs-js" data-copy="{}" aria-label="{}">{}</button>',
        text,
        _("Copy %(what)s") % {"what": what or text},
        icon("copy", "icon-sm"),
    )


@register.simple_tag
def copyable(text: str, what: str = "") -> SafeString:
    """An id, and the button that copies it."""
    return format_html('<span class="copyable"><code class="id clip">{}</code>{}</span>', text, copy(text, what))


@register.simple_tag
def tags(found: dict[str, str], most: int = 3) -> SafeString:
    """The first tags of a job, and how many more there are."""
    shown = format_html_join(" ", '<span class="tag" title="{0}: {1}">{0}<b>{1}</b></span>', list(found.items())[:most])
    more = len(found) - most
    return format_html('{} <span class="tag">+{}</span>', shown, more) if more > 0 else shown


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: Any) -> str:
    """This page's query with some parameters changed; None takes one out, and the place in the list goes with any."""
    kept = {name: value for name, value in context["request"].GET.items() if name not in ("cursor", "live")}
    wanted = {name: value for name, value in {**kept, **changes}.items() if value not in (None, "")}
    return f"?{urlencode(wanted)}" if wanted else "?"


def _chip(tone: Tone) -> SafeString:
    shown = icon(tone.icon, "icon-sm icon-spin" if tone.spins else "icon-sm")
    return format_html('<span class="chip" data-tone="{}">{}{}</span>', tone.name, shown, tone.word)


@register.simple_tag
def asset(path: str) -> str:
    """The address of a file of the console, another one when its content is another."""
    return f"{static(f'console/{path}')}?v={version_of(path)}"


@register.simple_tag
def mark() -> SafeString:
    return format_html(
        '<svg class="brand-mark" viewBox="0 0 24 24" fill="currentColor" aria-hidden="true">'
        '<use href="{}#mark"></use></svg>',
        asset("mark.svg"),
    )


@register.simple_tag
def tag_search(name: str, value: str) -> str:
    """The address of the jobs that have this tag."""
    words = join_words([("tag", f"{name}:{value}")])
    return f"{reverse('console-JobList')}?{urlencode({'q': words})}"
