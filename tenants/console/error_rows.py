"""Groups of errors as rows of a list: what the API shows of a group, and what a row needs besides. Pure."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from jobservice.jobs.error_group_reads import STATES
from tenants.console.addresses import jobs_address, with_query
from tenants.console.tones import ERROR_STATES


def error_row(group: dict[str, Any]) -> dict[str, Any]:
    return {
        "group": group,
        "href": reverse("console-ErrorPage", kwargs={"group_id": group["id"]}),
        # What the search bar of jobs finds its jobs by.
        "search": f"error:{group['id']}",
        "jobs_href": jobs_address([("error", group["id"])]),
        # What somebody may say of it now.
        "choices": [choice for choice in ("resolved", "ignored", "open") if choice != group["state"]],
    }


def error_tabs(current: str, type_: str) -> list[dict[str, Any]]:
    return [
        {
            "state": state,
            "tone": ERROR_STATES.get(state),
            "href": with_query(
                reverse("console-ErrorList"), {"state": "" if state == "open" else state, "type": type_}
            ),
            "is_current": state == current,
        }
        for state in (*STATES, "all")
    ]
