"""The rolling restart: each program gets a successor, which works before the old process is asked to stop.

1. `manage.py prepare` with the code that is on disk now: new code finds its migrations applied.
2. One program after another: start the successor; when it says that it is ready, the old one gets TERM and drains.
3. A successor that does not get ready is stopped, its predecessor goes on, and so do the programs not reached yet.
PostgreSQL and the broker stay as they are, and so does the port, which belongs to the supervisor.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from jobservice.env import ConfigurationError
from workers.supervisor.children import ChildSpec
from workers.supervisor.family import OWN_NAME, Family
from workers.supervisor.logs import LogStream


def restart_programs(
    family: Family, *, prepare: ChildSpec, programs: Sequence[ChildSpec], ready_seconds: float, log: LogStream
) -> bool:
    """Do it and say how it went. False: not everything was restarted. Raises `StopRequested` on a request to stop."""
    began = time.monotonic()
    log.write(OWN_NAME, f"rolling restart of {', '.join(spec.name for spec in programs)}")
    try:
        family.run_once(prepare)
    except ConfigurationError as error:
        log.write(OWN_NAME, f"nothing was restarted: {error}")
        return False
    for spec in programs:
        if not family.replace(spec, ready_seconds=ready_seconds):
            log.write(OWN_NAME, f"the rolling restart ends at {spec.name}, whose old process goes on")
            return False
    log.write(OWN_NAME, f"rolling restart done in {time.monotonic() - began:.0f} s")
    return True
