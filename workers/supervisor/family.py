"""All children together: start with a gate, run once, replace, restart what ends, stop in order, kill."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from jobservice.env import ConfigurationError
from workers.supervisor.children import LONGEST_BACKOFF_SECONDS, Child, ChildSpec
from workers.supervisor.guard import Guard
from workers.supervisor.logs import LogStream
from workers.supervisor.signals import Signals

POLL_SECONDS = 0.05
KILL_SECONDS = 3.0
LOG_SECONDS = 1.0
OWN_NAME = "up"
# With which every process of the service ends when its configuration does not allow a start.
REFUSAL_STATUS = 2


class StopRequested(Exception):
    """A signal asked to stop while something was awaited."""


class Family:
    """The children of one supervisor. Every method belongs to the main thread: the kernel ends them with it."""

    def __init__(
        self,
        *,
        guard: Guard,
        signals: Signals,
        log: LogStream,
        longest_backoff_seconds: float = LONGEST_BACKOFF_SECONDS,
    ) -> None:
        self._longest_backoff_seconds = longest_backoff_seconds
        self._guard = guard
        self._signals = signals
        self._log = log
        self._children: list[Child] = []
        # Started, and not restarted when they end: an operator's command, or a child before its gate.
        self._novices: list[Child] = []
        # Run once beside the others, and waited for by nobody.
        self._errands: list[Child] = []
        # Asked to stop because a successor has taken over.
        self._leavers: list[Child] = []
        self._is_starting = True

    def end_start(self) -> None:
        """From now on whatever ends is started again, whatever it ends with."""
        self._is_starting = False

    def start(self, spec: ChildSpec) -> None:
        """Start a child and keep it running."""
        child = self._make_child(spec)
        child.start()
        self._children.append(child)

    def start_and_await(self, spec: ChildSpec, is_ready: Callable[[int], bool], *, seconds: float) -> None:
        """Start a child and return when `is_ready(pid)`. Raises `ConfigurationError` when it ends or takes longer."""
        child = self._make_child(spec)
        self._novices.append(child)
        child.start()
        deadline = time.monotonic() + seconds
        while not is_ready(child.pid):
            self.tend(POLL_SECONDS)
            self._refuse_when_stopping()
            if child.reap() or time.monotonic() > deadline:
                child.drain_log(LOG_SECONDS)
                raise ConfigurationError(f"{spec.name} did not start; its lines above say why.")
        self._novices.remove(child)
        self._children.append(child)

    def run_once(self, spec: ChildSpec) -> None:
        """Run a command to its end. Raises `ConfigurationError` when it fails; a request to stop interrupts it."""
        child = self._make_child(spec)
        self._novices.append(child)
        child.start()
        while not child.reap():
            self.tend(POLL_SECONDS)
            self._refuse_when_stopping()
        self._novices.remove(child)
        child.drain_log(LOG_SECONDS)
        _pass_on_refusal(child)
        if child.exit_status != 0:
            raise ConfigurationError(f"`manage.py {spec.name}` failed; its lines above say why.")

    def run_beside(self, spec: ChildSpec) -> None:
        """Run a command while the others go on. It is not started again, and a stop ends it."""
        child = self._make_child(spec)
        try:
            child.start()
        except OSError as error:
            self._log.write(OWN_NAME, f"{spec.name} cannot be started ({error.strerror})")
            return
        self._errands.append(child)

    def replace(self, spec: ChildSpec, *, ready_seconds: float) -> bool:
        """Start a successor to the child of that name; once it is ready, have the old one stop, and wait until it has.

        False when it did not get ready: then it is gone and the old one goes on. Raises `StopRequested`.
        """
        successor = self._make_child(spec)
        self._novices.append(successor)
        try:
            successor.start()
            fault = self._await_ready(successor, ready_seconds)
        except OSError as error:
            fault = f"cannot be started ({error.strerror})"
        self._novices.remove(successor)
        if fault:
            self._log.write(OWN_NAME, f"{spec.name}: the successor {fault}")
            self._see_off(successor)
            return False
        self._log.write(OWN_NAME, f"{spec.name}: the successor is ready, the old process finishes what it has")
        replaced = [child for child in self._children if child.spec.name == spec.name]
        self._children = [*(child for child in self._children if child not in replaced), successor]
        for child in replaced:
            self._see_off(child)
        return True

    def has_ready(self, name: str) -> bool:
        """Whether the child of that name has said that it is ready."""
        return any(child.is_ready for child in self._children if child.spec.name == name)

    def tend(self, seconds: float) -> None:
        """Wait for a signal, an ended child or a due restart, at most so long; then restart what should run.

        Raises `ConfigurationError` when a child refuses during the start: it would refuse again, for ever.
        """
        now = time.monotonic()
        due = [child.restart_at - now for child in self._children if child.restart_at is not None]
        self._signals.wait(min([seconds, *due]))
        if self._signals.stop_requests:
            return
        self._guard.revive()
        self._errands = [child for child in self._errands if not child.reap()]
        for child in self._children:
            if child.reap():
                if self._is_starting:
                    child.drain_log(LOG_SECONDS)
                    _pass_on_refusal(child)
                self._announce_restart(child)
            if child.restart_at is not None and child.restart_at <= time.monotonic():
                self._restart(child)

    def stop(self) -> bool:
        """Stop everything in order. Returns False when a second interrupt made it kill instead."""
        everyone = [*self._novices, *self._errands, *self._leavers, *self._children]
        for order in sorted({child.spec.stop_order for child in everyone}):
            batch = [child for child in everyone if child.spec.stop_order == order and child.is_running]
            if not self._stop_batch(batch):
                self._kill(everyone)
                return False
        for child in everyone:
            child.drain_log(LOG_SECONDS)
        return True

    def _await_ready(self, child: Child, seconds: float) -> str:
        """Empty once it is ready, else what happened instead."""
        deadline = time.monotonic() + seconds
        while not child.is_ready:
            self.tend(POLL_SECONDS)
            self._refuse_when_stopping()
            if child.reap():
                child.drain_log(LOG_SECONDS)
                return f"ended ({_describe_exit(child.exit_status)}); its lines above say why"
            if time.monotonic() > deadline:
                return f"was not ready within {seconds:g} s and is stopped"
        return ""

    def _see_off(self, child: Child) -> None:
        """Have one stop within its grace while the others go on; what is left of it then is killed."""
        self._leavers.append(child)
        child.send(child.spec.stop_signal)
        deadline = time.monotonic() + child.spec.grace_seconds
        while child.is_running and not child.reap():
            self.tend(POLL_SECONDS)
            self._refuse_when_stopping()
            if time.monotonic() > deadline:
                self._kill_late([child], child.spec.grace_seconds)
        child.drain_log(LOG_SECONDS)
        self._leavers.remove(child)

    def _make_child(self, spec: ChildSpec) -> Child:
        return Child(spec, guard=self._guard, log=self._log, longest_backoff_seconds=self._longest_backoff_seconds)

    def _refuse_when_stopping(self) -> None:
        if self._signals.stop_requests:
            raise StopRequested

    def _announce_restart(self, child: Child) -> None:
        delay = child.plan_restart()
        when = f"again in {delay:g} s" if delay else "again now"
        self._log.write(OWN_NAME, f"{child.spec.name} ended ({_describe_exit(child.exit_status)}); it starts {when}")

    def _restart(self, child: Child) -> None:
        try:
            child.start()
        except OSError as error:
            delay = child.plan_restart()
            self._log.write(OWN_NAME, f"{child.spec.name} cannot be started ({error.strerror}); again in {delay:g} s")

    def _stop_batch(self, batch: Sequence[Child]) -> bool:
        """Ask, wait for each one's grace, then kill what remains. False when a second interrupt cut it short."""
        for child in batch:
            child.send(child.spec.stop_signal)
        began = time.monotonic()
        patience = max((child.spec.grace_seconds for child in batch), default=0.0)
        while self._count_running(batch):
            if self._signals.is_urgent:
                return False
            if time.monotonic() - began > patience:
                self._kill_late(batch, patience)
                return True
            self._signals.wait(POLL_SECONDS)
        return True

    def _kill_late(self, batch: Sequence[Child], patience: float) -> None:
        names = ", ".join(child.spec.name for child in batch if child.is_running)
        self._log.write(OWN_NAME, f"{names} did not stop within {patience:g} s and is killed")
        self._kill(batch)

    def _kill(self, batch: Sequence[Child]) -> None:
        for number in (None, signal.SIGKILL):
            for child in batch:
                child.send_group(child.spec.kill_signal if number is None else number)
            deadline = time.monotonic() + KILL_SECONDS
            while self._count_running(batch) and time.monotonic() < deadline:
                self._signals.wait(POLL_SECONDS)

    def _count_running(self, batch: Sequence[Child]) -> int:
        for child in batch:
            child.reap()
        return sum(child.is_running for child in batch)


def _pass_on_refusal(child: Child) -> None:
    """Raise a refusal as this process's own, so that its sentence is the last that is read."""
    if child.exit_status == REFUSAL_STATUS and child.last_line:
        raise ConfigurationError(child.last_line)


def _describe_exit(status: int | None) -> str:
    if status is not None and status < 0:
        return signal.Signals(-status).name
    return f"exit status {status}"
