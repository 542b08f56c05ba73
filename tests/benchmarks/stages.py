"""Time by stage: functions of the product, wrapped from outside, each counted without the stages inside it.

A point that is not there any more is reported, never fatal, so that the product is free to move its functions.
"""

from __future__ import annotations

import functools
import importlib
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]

_OURS = ("api", "jobservice", "tenants", "workers")


@dataclass(slots=True)
class Spent:
    """Milliseconds by the clock and on the processor, without what lay in inner stages."""

    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    calls: int = 0


@dataclass(slots=True)
class _Open:
    name: str
    wall: float
    cpu: float
    inner_wall: float = 0.0
    inner_cpu: float = 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of the profile. `p50_ms` and `mean_ms` are per request, by the clock."""

    name: str
    calls: float
    p50_ms: float
    mean_ms: float
    cpu_ms: float


class StageClock:
    """Counts on the thread that it was made for; a call on another thread passes through."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Spent]] = []
        self._thread = threading.get_ident()
        self._stack: list[_Open] = []
        self._current: dict[str, Spent] = {}

    @contextmanager
    def request(self, name: str) -> Iterator[None]:
        """One request; what no inner stage takes is counted under `name`."""
        self._current = defaultdict(Spent)
        with self.stage(name):
            yield
        self.requests.append(self._current)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._stack.append(_Open(name, time.perf_counter(), time.thread_time()))
        try:
            yield
        finally:
            self._close(self._stack.pop())

    def is_counting(self) -> bool:
        return bool(self._stack) and threading.get_ident() == self._thread

    def _close(self, stage: _Open) -> None:
        wall, cpu = time.perf_counter() - stage.wall, time.thread_time() - stage.cpu
        spent = self._current[stage.name]
        spent.wall_ms += (wall - stage.inner_wall) * 1000
        spent.cpu_ms += (cpu - stage.inner_cpu) * 1000
        spent.calls += 1
        if self._stack:
            self._stack[-1].inner_wall += wall
            self._stack[-1].inner_cpu += cpu

    def summary(self) -> list[Stage]:
        """The stages, the dearest first."""
        names = dict.fromkeys(name for request in self.requests for name in request)
        return sorted((self._summarize(name) for name in names), key=lambda stage: -stage.p50_ms)

    def _summarize(self, name: str) -> Stage:
        spent = [request.get(name, Spent()) for request in self.requests]
        return Stage(
            name=name,
            calls=statistics.fmean(one.calls for one in spent),
            p50_ms=statistics.median(one.wall_ms for one in spent),
            mean_ms=statistics.fmean(one.wall_ms for one in spent),
            cpu_ms=statistics.fmean(one.cpu_ms for one in spent),
        )


def wrap_point(point: str, wrapper: Wrapper) -> bool:
    """Replace `module:name` or `module:Class.name` everywhere it was imported to. False when there is none."""
    module_name, _, path = point.partition(":")
    owner_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
        owner = getattr(module, owner_name) if owner_name else module
        original = getattr(owner, name)
    except (ImportError, AttributeError):
        return False
    wrapped = functools.wraps(original)(wrapper(original))
    setattr(owner, name, wrapped)
    if not owner_name:
        _replace_imports(original, wrapped)
    return True


def timed(clock: StageClock, name: str) -> Wrapper:
    """A wrapper that counts a function's calls as one stage."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not clock.is_counting():
                return function(*args, **kwargs)
            with clock.stage(name):
                return function(*args, **kwargs)

        return call

    return wrap


def _replace_imports(original: object, wrapped: object) -> None:
    """`from module import name` made copies of the reference."""
    for module_name, module in list(sys.modules.items()):
        if module is None or module_name.partition(".")[0] not in _OURS:
            continue
        for name, value in list(vars(module).items()):
            if value is original:
                setattr(module, name, wrapped)
