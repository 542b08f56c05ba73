"""Deliveries: every event that somebody waits for has its delivery, and each delivery is either live or over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobservice.ids import DELIVERY, EVENT, show_id
from workers.doctor.finding import Finding, ok, problem, show_count
from workers.doctor.reader import Reader

ROWS_LOOKED_AT = 10_000
_REPORT = "Report this: it is a fault of the service, or the database was restored in part."


def check_event_deliveries(reader: Reader) -> Finding:
    return judge_event_deliveries(reader.read("dispatcher", "undelivered_events", {"limit": ROWS_LOOKED_AT}))


def judge_event_deliveries(rows: Sequence[Any]) -> Finding:
    """`rows`: the events without exactly one delivery to their job's callback."""
    if rows:
        return problem(
            f"{show_count(len(rows), 'end')} of jobs with a callback without the one delivery of its event, "
            f"such as {show_id(EVENT, rows[0].id)}.",
            fix=_REPORT,
        )
    return ok(f"Of the newest {ROWS_LOOKED_AT} events, each that is to be told has one delivery.")


def check_live_deliveries(reader: Reader) -> Finding:
    return judge_live_deliveries(reader.read("dispatcher", "stray_deliveries", {"limit": ROWS_LOOKED_AT}))


def judge_live_deliveries(rows: Sequence[Any]) -> Finding:
    """`rows`: per fault how many deliveries have it, and the id of one."""
    words = {"lost": "neither over nor live", "over": "live though over", "unknown": "live without a delivery"}
    if rows:
        found = "; ".join(
            f"{show_count(row.count, 'delivery', plural='deliveries')} {words[row.fault]}, "
            f"such as {show_id(DELIVERY, row.example)}"
            for row in rows
        )
        return problem(f"{found}.", fix=_REPORT)
    return ok(f"Of the newest {ROWS_LOOKED_AT} deliveries and the oldest live ones, each is over or live.")
