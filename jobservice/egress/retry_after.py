"""The Retry-After header of an answer (RFC 9110, 10.2.3)."""

from __future__ import annotations

import datetime
from email.utils import parsedate_to_datetime

MAX_SECONDS = 24 * 3600.0


def parse_retry_after(value: str | None, now: datetime.datetime) -> float | None:
    """Seconds to wait from `now` (aware), 0 to 24 hours; None when the header is absent or makes no sense."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # Python refuses to read numbers of thousands of digits; six are already past the bound.
        digits = text.lstrip("0") or "0"
        return MAX_SECONDS if len(digits) > 6 else min(float(digits), MAX_SECONDS)
    try:
        at = parsedate_to_datetime(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=datetime.UTC)
        seconds = (at - now).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), MAX_SECONDS)
