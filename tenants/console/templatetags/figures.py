"""The console's small figures: what is drawn from a number, with its words beside it. Charts are laid out by
`charts.py`.

They are SVG whose attributes say their size: under the console's policy no style may stand in a page.
"""

from __future__ import annotations

from collections.abc import Sequence

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tenants.console.templatetags.console import grouped

register = template.Library()
_SPARK_WIDTH, _SPARK_HEIGHT = 88, 24


@register.simple_tag
def gauge(used: int, limit: int | None) -> SafeString:
    """How much of a limit is used, as words and as a bar."""
    if limit is None:
        return format_html('<span class="num">{}</span>', grouped(used))
    share = 1.0 if limit <= 0 else min(1.0, used / limit)
    level = "full" if share >= 1 else "high" if share >= 0.8 else "low"
    return format_html(
        '<span class="gauge" data-level="{}">{}<span class="num">{} / {}</span></span>',
        level,
        gauge_bar(share),
        grouped(used),
        grouped(limit),
    )


@register.simple_tag
def gauge_bar(share: float) -> SafeString:
    """The bar of a gauge whose words stand beside it; in its colour, which is that of a `.gauge`."""
    return format_html(
        '<svg class="gauge-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{}" height="6"></rect></svg>',
        round(max(0.0, min(1.0, share)) * 100, 1),
    )


@register.simple_tag
def bar(share: float) -> SafeString:
    """A share from 0 to 1 as a line; its words stand beside it."""
    return format_html(
        '<svg class="progress-line" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{}" height="6"></rect></svg>',
        round(max(0.0, min(1.0, share)) * 100, 1),
    )


@register.simple_tag
def spark(values: Sequence[float], name: str = "") -> SafeString:
    """A small line of a series, with its last value in words for who hears the page."""
    if len(values) < 2:
        return format_html('<svg class="{}" aria-hidden="true"></svg>', "spark")
    top = max(values) or 1
    step = _SPARK_WIDTH / (len(values) - 1)
    points = [
        (round(i * step, 1), round(_SPARK_HEIGHT - 2 - v / top * (_SPARK_HEIGHT - 4), 1)) for i, v in enumerate(values)
    ]
    line = " ".join(f"{x},{y}" for x, y in points)
    return format_html(
        '<svg class="spark" viewBox="0 0 {0} {1}" preserveAspectRatio="none" role="img" aria-label="{2}">'
        '<polygon points="0,{1} {3} {0},{1}"></polygon><polyline points="{3}"></polyline></svg>',
        _SPARK_WIDTH,
        _SPARK_HEIGHT,
        _("%(name)s: now %(now)s, at most %(top)s") % {"name": name, "now": values[-1], "top": max(values)},
        line,
    )


@register.simple_tag
def percent_bar(percent: float) -> SafeString:
    shown: SafeString = bar(percent / 100)
    return shown
