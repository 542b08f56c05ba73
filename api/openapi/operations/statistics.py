"""The operations on statistics and on groups of errors."""

from __future__ import annotations

from api.error_groups import ChangeErrorGroup, ListErrorGroups, ReadErrorGroup
from api.openapi import examples
from api.openapi.declaration import Answer, Body, Operation, ref
from api.openapi.parameters import ERROR_FILTERS, PAGING, STATISTICS_RANGE
from api.statistics import ReadStatistics
from api.views import ApiView
from jobservice.jobs.statistic_ranges import MAX_POINTS

_GROUP = ref("ErrorGroup")

STATISTICS_OPERATIONS: dict[type[ApiView], Operation] = {
    ReadStatistics: Operation(
        tag="Statistics",
        summary="Read what happened in a time",
        description="Of all jobs that the key reaches, of a queue, a type, or both. The times are moved outwards to "
        f"borders of the step, in UTC. At most {MAX_POINTS} steps. Minutes are kept for 2 days, hours for 60, days for "
        "two years; a step as long as the largest of these that it is made of. A job is counted a few seconds after "
        "what it counts for, and stays counted when it is erased. Quantiles are at most 12.2 % off.",
        parameters=STATISTICS_RANGE,
        answers={200: Answer("The steps, and all of them together.", ref("Statistics"), examples.tenants.STATISTICS)},
    ),
    ListErrorGroups: Operation(
        tag="Statistics",
        summary="List groups of errors",
        description="Those of the last 90 days. The jobs of a group are found, and retried, by the filter "
        "`error_group` of the list of jobs and of bulk actions.",
        parameters=(*ERROR_FILTERS, *PAGING),
        answers={
            200: Answer(
                "A page, the last seen first.", ref("ErrorGroupPage"), examples.page(examples.tenants.ERROR_GROUP)
            )
        },
    ),
    ReadErrorGroup: Operation(
        tag="Statistics",
        summary="Read a group of errors",
        answers={200: Answer("The group.", _GROUP, examples.tenants.ERROR_GROUP)},
    ),
    ChangeErrorGroup: Operation(
        tag="Statistics",
        summary="Resolve, ignore or open a group of errors",
        description="Said again, it changes nothing.",
        body=Body(
            "ErrorGroupChange",
            {"It is mended": {"state": "resolved"}, "It may go on": {"state": "ignored"}},
        ),
        answers={200: Answer("The group as it is now.", _GROUP, examples.tenants.RESOLVED_ERROR_GROUP)},
    ),
}
