"""What goes wrong, on purpose: seeded faults on the real processes of a site, one upon the other.

Kills (SIGKILL; PostgreSQL's server gets its immediate stop), freezes (SIGSTOP for two leases, then SIGCONT, so that
somebody else owns the work by then), a wiped broker, and cut, slow and swallowed connections to the database. Each
action is written down with its moment; the same seed does the same things, as far as the machine lets it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from jobservice.ids import JOB, parse_id
from tests.chaos.orders import long_orders
from tests.chaos.proxy import Proxy
from tests.chaos.site import LEASE_SECONDS, Site, until

FREEZE_SECONDS = 2 * LEASE_SECONDS + 0.5
# Children wake before their parent, which would end them first.
HEAD_START_SECONDS = 0.3
STALE_TRIES = 10
IN_FLIGHT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Death:
    """A killed process that ran handlers, and when."""

    pid: int
    at: float


class Nemesis:
    """`run` acts until it is told to stop and has killed often enough; nothing is frozen or cut afterwards."""

    def __init__(self, site: Site, proxies: dict[str, Proxy], *, seed: int, log: Path) -> None:
        self._site = site
        self._proxies = proxies
        self._rng = random.Random(seed)
        self._log = log
        self._busy: set[str] = set()
        self._threads: list[threading.Thread] = []
        self.kills: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.deaths: list[Death] = []
        product = site.product
        self._actions: dict[str, tuple[float, Callable[[], bool]]] = {
            "handler child": (40, self._kill_child),
            "web worker": (18, lambda: self._kill("web worker", product.pids("web")[1:])),
            "dispatcher": (8, lambda: self._kill("dispatcher", product.pids("dispatcher")[:1])),
            "handler worker": (5, self._kill_handlers),
            "egress worker": (6, lambda: self._kill("egress worker", product.pids("egress")[:1])),
            "web master": (2, lambda: self._kill("web master", product.pids("web")[:1])),
            "broker": (5, lambda: self._kill("broker", product.pids("valkey")[:1])),
            "backend": (4, lambda: self._kill("backend", self._backends())),
            "postgres": (3, lambda: self._kill("postgres", product.pids("postgres")[:1], signal.SIGQUIT)),
            "wipe": (3, self._wipe_broker),
            "cut": (4, lambda: self._some_proxy().cut(0.3, choose=self._rng.random) > 0),
            "delay": (2, self._delay),
            "swallow": (4, self._swallow),
            "partition": (2, self._partition),
            "freeze dispatcher": (1, lambda: self._freeze("dispatcher", self._stop_first("dispatcher"))),
            "freeze child": (1, lambda: self._freeze("handlers", self._stop_last("handlers"))),
            "freeze handlers": (1.5, lambda: self._freeze("handlers", self._stop_handlers)),
            "freeze egress": (1.5, lambda: self._freeze("egress", self._stop_first("egress"))),
        }

    def run(self, *, kills: int, pause_seconds: float, is_over: Callable[[], bool]) -> None:
        names = list(self._actions)
        weights = [self._actions[name][0] for name in names]
        while not (is_over() and self.kills.total() >= kills):
            (name,) = self._rng.choices(names, weights)
            self.act(name)
            time.sleep(self._rng.uniform(0.5, 1.5) * pause_seconds)
        self.make_peace()

    def provoke_stale_writes(self, count: Callable[[], float], *, wanted: int) -> None:
        """Keep workers from the database until enough of their late writes were refused; gives up after a while."""
        for _ in range(STALE_TRIES):
            if count() >= wanted:
                return
            self.act("partition")
            self.make_peace()
            until(lambda: count() >= wanted, seconds=LEASE_SECONDS)

    def act(self, name: str) -> None:
        """Do one thing, if it can be done now."""
        with suppress(ProcessLookupError, psycopg.Error, redis.RedisError):
            if self._actions[name][1]():
                self.faults[name] += 1
                self._note(name)

    def make_peace(self) -> None:
        """Wait until what is frozen runs again."""
        for thread in self._threads:
            thread.join()

    def _kill(self, kind: str, pids: list[int], number: int = signal.SIGKILL) -> bool:
        if not pids:
            return False
        os.kill(self._rng.choice(pids), number)
        self.kills[kind] += 1
        return True

    def _kill_child(self) -> bool:
        children = self._site.product.pids("handlers")[1:]
        if not children:
            return False
        victim = self._rng.choice(children)
        self.deaths.append(Death(victim, time.time()))
        return self._kill("handler child", [victim])

    def _kill_handlers(self) -> bool:
        pids = self._site.product.pids("handlers")
        # The first is one of the children while those of a worker that is dead are not gone yet.
        self.deaths += [Death(pid, time.time()) for pid in pids]
        return self._kill("handler worker", pids[:1])

    def _backends(self) -> list[int]:
        rows = self._site.ask("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'jobservice %%'")
        return sorted(pid for (pid,) in rows)

    def _wipe_broker(self) -> bool:
        wipe_broker(self._site)
        return True

    def _some_proxy(self) -> Proxy:
        return self._proxies[self._rng.choice(sorted(self._proxies))]

    def _delay(self) -> bool:
        self._some_proxy().delay(self._rng.uniform(0.2, 2.0))
        return True

    def _swallow(self) -> bool:
        self._some_proxy().swallow_commit(self._rng.randint(1, 3))
        return True

    def _partition(self) -> bool:
        """The workers reach the database again only when others own their jobs: what they write then is refused."""
        return self._beside("partition", self._hold_apart)

    def _hold_apart(self) -> None:
        self._have_in_flight("egress")
        self._proxies["worker"].delay(FREEZE_SECONDS)
        time.sleep(FREEZE_SECONDS)

    def _have_in_flight(self, kind: str) -> None:
        """Have runs under way in this kind of process that end soon."""
        orders = long_orders(kind, callback_url=self._site.endpoint.url)
        if not orders:
            return
        jobs = self._site.driver.submit(orders)
        seen = "SELECT count(*) FROM job_live WHERE state = 'executing' AND job_id = ANY(%s)"
        ids_ = [parse_id(JOB, job) for job in jobs]
        with suppress(psycopg.Error):
            until(lambda: self._site.ask(seen, ids_)[0][0] >= len(jobs) / 2, seconds=IN_FLIGHT_SECONDS)

    def _freeze(self, kind: str, stop: Callable[[], list[int]]) -> bool:
        """Freeze for two leases on a thread of its own, so that other faults go on. One freeze of a kind at a time."""
        return self._beside(kind, lambda: self._hold_frozen(kind, stop))

    def _beside(self, kind: str, act: Callable[[], None]) -> bool:
        if kind in self._busy:
            return False
        self._busy.add(kind)

        def go() -> None:
            try:
                act()
            finally:
                self._busy.discard(kind)

        thread = threading.Thread(target=go, daemon=True)
        self._threads.append(thread)
        thread.start()
        return True

    def _hold_frozen(self, kind: str, stop: Callable[[], list[int]]) -> None:
        self._have_in_flight(kind)
        pids = stop()
        time.sleep(FREEZE_SECONDS)
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            time.sleep(HEAD_START_SECONDS if pid != pids[0] else 0)

    def _stop_first(self, name: str) -> Callable[[], list[int]]:
        return lambda: self._send_stop(self._site.product.pids(name)[:1])

    def _stop_last(self, name: str) -> Callable[[], list[int]]:
        return lambda: self._send_stop(self._site.product.pids(name)[1:][-1:])

    def _stop_handlers(self) -> list[int]:
        return self._send_stop(self._site.product.pids("handlers"))

    def _send_stop(self, pids: list[int]) -> list[int]:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        return pids

    def _note(self, name: str) -> None:
        facts: dict[str, Any] = {"at": round(time.time(), 3), "action": name, "kills": self.kills.total()}
        with self._log.open("a") as log:
            log.write(json.dumps(facts) + "\n")


def wipe_broker(site: Site) -> None:
    """Everything the embedded broker holds is gone: messages, queues, bindings."""
    url = site.connections["broker"]
    with redis.Redis(unix_socket_path=url.removeprefix("redis+socket://"), socket_timeout=5) as client:
        client.flushall()
