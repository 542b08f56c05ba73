"""Keeps what servers and children write to standard error out of a report, but shows its end when a run fails."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_SHOWN_BYTES = 4000


@contextmanager
def quiet_children() -> Iterator[None]:
    """Standard error, ours and every child's, goes to a file until the end of the block."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            _show_end(log.fileno(), kept)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def _show_end(log: int, out: int) -> None:
    size = os.fstat(log).st_size
    os.write(out, os.pread(log, _SHOWN_BYTES, max(0, size - _SHOWN_BYTES)))
