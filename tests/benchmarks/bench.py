"""What a measurement is given: the running product, rivals that start when first asked for, and rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Round
from tests.benchmarks.receiver import Receiver
from tests.benchmarks.rivals.drf import DrfService, running_drf_service
from tests.benchmarks.rivals.raw import RawCelery, running_raw_celery
from tests.benchmarks.servers import Servers
from tests.benchmarks.site import Site, running_site


@dataclass(slots=True)
class Bench:
    """One run."""

    site: Site
    _stack: ExitStack
    share_ends_at: float = 0.0
    _drf: DrfService | None = None
    _raw: RawCelery | None = None

    @property
    def effort(self) -> Effort:
        return self.site.effort

    @property
    def receiver(self) -> Receiver:
        return self.site.receiver

    @property
    def drf(self) -> DrfService:
        """DRF + Celery as a whole service."""
        if self._drf is None:
            service = running_drf_service(self.site.servers, self.receiver, warm_up=self.effort.warm_up // 2)
            self._drf = self._stack.enter_context(service)
        return self._drf

    @property
    def raw(self) -> RawCelery:
        """Celery alone."""
        if self._raw is None:
            self._raw = self._stack.enter_context(running_raw_celery(self.site.servers))
        return self._raw

    def rounds(self, *parts: Callable[[], Round]) -> list[Round]:
        """Ours and theirs in turn, so that what else the machine does meanwhile falls on both. At least one round."""
        done: list[Round] = []
        begun, last_seconds = time.monotonic(), 0.0
        while not done or (len(done) < self.effort.rounds and begun + last_seconds < self.share_ends_at):
            done.append({name: value for part in parts for name, value in part().items()})
            begun, last_seconds = time.monotonic(), time.monotonic() - begun
        return done


@contextmanager
def running_bench(servers: Servers, effort: Effort) -> Iterator[Bench]:
    """The product is up and warm; the rivals end before it does."""
    with running_site(servers, effort) as site, ExitStack() as stack:
        yield Bench(site, stack)
