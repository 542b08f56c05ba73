"""What tests of statistics say often: fold as the dispatcher, and the sums of what is counted, folded or not."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import UUID

from django.db import connection

from jobservice.jobs.statistic_reads import COUNTS
from jobservice.jobs.statistics import DAY, HOUR, MINUTE, fold_statistics
from tests.roles import as_role

STEPS = (MINUTE, HOUR, DAY)


def fold() -> None:
    """Until nothing is left."""
    with as_role("dispatcher"):
        while fold_statistics():
            pass


def sums(tenant_id: UUID, *, step: int, of_queues: bool, of_types: bool) -> dict[str, int]:
    """All that is folded into rows of a step: of each queue or of all together, and so with types."""
    columns = ", ".join(f"coalesce(sum({name}), 0)::integer" for name in COUNTS)
    rows = run(
        f"SELECT {columns} FROM statistic WHERE tenant_id = %s AND step_seconds = %s AND (queue <> '') = %s "
        "AND (type <> '') = %s",
        [tenant_id, step, of_queues, of_types],
    )
    return dict(zip(COUNTS, rows[0], strict=True))


def counted_everywhere(tenant_id: UUID) -> dict[str, int]:
    """What is folded, which every step must say alike, as a whole and by queue and type; of what is not zero."""
    found = [
        sums(tenant_id, step=step, of_queues=of_queues, of_types=of_types)
        for step, of_queues, of_types in itertools.product(STEPS, (True, False), (True, False))
    ]
    assert all(one == found[0] for one in found)
    return {name: count for name, count in found[0].items() if count}


def durations(tenant_id: UUID, column: str, *, step: int = MINUTE) -> int:
    """How many durations are in the histograms of the whole tenant."""
    (row,) = run(
        f"SELECT coalesce(sum(entry & 1099511627775), 0)::integer FROM statistic CROSS JOIN unnest({column}) AS entry "
        "WHERE tenant_id = %s AND step_seconds = %s AND queue = '' AND type = ''",
        [tenant_id, step],
    )
    return int(row[0])


def run(statement: str, parameters: Any = ()) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []
