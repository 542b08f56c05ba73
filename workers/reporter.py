"""What the run of a pool process reports, on its way to the database: at most a write a second, and what is left at the
end with the outcome. The thread starts with the first report; a job that reports nothing costs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from django.db import Error, connection

from jobservice.database import is_database_away
from jobservice.errors import SealingError, Unavailable
from jobservice.handlers.job import LogLevel
from jobservice.jobs.reports import LogLine, Progress, ReportingRun, RunLog, write_report
from jobservice.logs import log_event

# Most runs that report are over by then, and their reports are one write.
FIRST_SECONDS = 0.2
INTERVAL_SECONDS = 1.0


class RunReports:
    """One run's reports: the handler says them, on whatever thread, and somebody else writes them."""

    def __init__(self, run: ReportingRun, on_news: Callable[[RunReports], None]) -> None:
        self._run = run
        self._on_news = on_news
        self._progress: Progress | None = None
        self._log: RunLog | None = None
        self._is_progress_new = self._is_log_new = self._is_over = False
        self._lock = threading.Lock()
        # Held over a write, so that of two writers the one with the newer words comes last.
        self._writing = threading.Lock()

    @property
    def are_used(self) -> bool:
        """Whether the run has reported anything. Perhaps somebody writes it at this moment: `write` waits for that."""
        return self._progress is not None or self._log is not None

    def progress(self, percent: float, message: str | None) -> None:
        with self._lock:
            if self._is_over:
                return
            self._progress, self._is_progress_new = Progress(percent, message), True
        self._on_news(self)

    def log(self, text: str, level: LogLevel) -> None:
        line = LogLine(datetime.now(UTC), level, text)
        with self._lock:
            if self._is_over:
                return
            self._log = self._log or RunLog()
            self._log.add(line)
            self._is_log_new = True
        self._on_news(self)

    def end(self) -> None:
        """The run is over: what a thread that it left behind still says is not heard."""
        with self._lock:
            self._is_over = True

    def write(self) -> None:
        """Write what is new. Raises what `is_database_away` knows while the database is; then it stays.

        What cannot be written for another reason is dropped, and so is what the run says after it was lost.
        """
        with self._writing:
            progress, log = self._take()
            if progress is None and log is None:
                return
            try:
                is_held = write_report(self._run, progress=progress, log=log)
            except (Error, SealingError, Unavailable) as error:
                if is_database_away(error):
                    self._put_back(progress, log)
                    raise
                names = {"tenant_id": self._run.tenant_id, "job_id": self._run.job_id, "epoch": self._run.epoch}
                log_event("report_dropped", level="warning", **names, error_class=type(error).__name__)
                return
            if not is_held:
                self.end()

    def _take(self) -> tuple[Progress | None, bytes | None]:
        with self._lock:
            progress = self._progress if self._is_progress_new else None
            log = self._log.encode() if self._log is not None and self._is_log_new else None
            self._is_progress_new = self._is_log_new = False
            return progress, log

    def _put_back(self, progress: Progress | None, log: bytes | None) -> None:
        with self._lock:
            self._is_progress_new = self._is_progress_new or progress is not None
            self._is_log_new = self._is_log_new or log is not None


class Reporter:
    """Writes the reports of the run under way. One per pool process."""

    def __init__(self) -> None:
        self._current: RunReports | None = None
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._changed = threading.Condition()

    def open(self, run: ReportingRun) -> RunReports:
        """The place for the reports of a run that begins."""
        return RunReports(run, self._note)

    def stop(self, timeout: float) -> None:
        """End the thread; the process is about to exit."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _note(self, reports: RunReports) -> None:
        with self._changed:
            if self._current is reports:
                return
            self._current = reports
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while (reports := self._next()) is not None:
                if not write_reports_safely(reports):
                    self._note(reports)
                with self._changed:
                    self._changed.wait_for(lambda: self._is_stopping, INTERVAL_SECONDS - FIRST_SECONDS)
        finally:
            connection.close()

    def _next(self) -> RunReports | None:
        """Who has something to say, a moment after the first word of it; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._current is not None or self._is_stopping)
            self._changed.wait_for(lambda: self._is_stopping, FIRST_SECONDS)
            reports, self._current = self._current, None
            return None if self._is_stopping else reports


def write_reports_safely(reports: RunReports) -> bool:
    """Write what is new; False when the database is away, and it stays to be written."""
    try:
        connection.close_if_unusable_or_obsolete()
        reports.write()
    except Exception as error:  # noqa: BLE001 (the thread must outlive what cannot be written)
        if is_database_away(error):
            log_event("report_delayed", level="warning", error_class=type(error).__name__)
            return False
        log_event("report_dropped", level="warning", error_class=type(error).__name__)
    return True
