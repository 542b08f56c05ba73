"""What a machine of jobs' lives knows, and how it acts and moves what it knows; its rules are in `life_machine.py`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from hypothesis.stateful import RuleBasedStateMachine

from jobservice.crypto.message_mac import Ref
from jobservice.errors import Conflict, Invalid, NotFound
from jobservice.jobs.outcomes import StartedJob
from tests.factories import Tenant
from tests.races.life_model import Life
from tests.roles import as_role


class LifeMachineState(RuleBasedStateMachine):
    tenants: tuple[Tenant, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[UUID, Life] = {}
        self.tenant_of: dict[UUID, UUID] = {}
        self.made: list[UUID] = []
        self.messages: list[Ref] = []
        self.runs: list[tuple[StartedJob, int]] = []
        self._undone = ExitStack()

    def teardown(self) -> None:
        if connection.in_atomic_block:
            transaction.set_rollback(True)
        self._undone.close()

    def _ask(self, nth: int, act: Callable[[UUID, UUID], Any], judge: Callable[[Life], Life | None]) -> None:
        """What a client asks about a job: done and answered as it is then, or refused."""
        job_id = self._newest(self.made, nth)
        job = self.jobs.get(job_id)
        expected = None if job is None else judge(job)
        shown: list[Any] = []
        is_done = self._is_done(lambda: shown.append(act(self.tenant_of[job_id], job_id)), "web")
        assert is_done == (expected is not None)
        if expected is not None:
            self.jobs[job_id] = expected
            (answer,) = shown
            assert (answer["state"], answer["attempt"]) == (expected.state, expected.attempt)
            assert answer["cancel_requested"] == expected.is_cancel_asked

    def _has(self, *states: str) -> bool:
        return any(job.state in states for job in self.jobs.values())

    def _is_done(self, act: Callable[[], Any], role: str) -> bool:
        try:
            with as_role(role):
                act()
        except (Conflict, NotFound, Invalid):
            return False
        return True

    def _move(self, job_id: UUID, job: Life | None) -> None:
        assert job is not None
        self.jobs[job_id] = job

    def _move_all(self, refs: list[Ref], judge: Callable[[Life, Ref], Life | None]) -> list[Ref]:
        """Those of the jobs that move, in this order."""
        moved = []
        for ref in refs:
            job = self.jobs.get(ref.id)
            after = None if job is None else judge(job, ref)
            if after is not None:
                self.jobs[ref.id] = after
                moved.append(ref)
        return moved

    def _move_every(self, judge: Callable[[Life], Life | None]) -> int:
        after = {job_id: judge(job) for job_id, job in self.jobs.items()}
        moved = {job_id: job for job_id, job in after.items() if job is not None}
        self.jobs |= moved
        return len(moved)

    @staticmethod
    def _newest(things: list[Any], nth: int) -> Any:
        return things[-1 - nth % len(things)]

    def _several(self, things: list[Any], nths: list[int]) -> list[Any]:
        """Each once, for neither a message nor a group names a run twice."""
        return [things[-1 - place] for place in dict.fromkeys(nth % len(things) for nth in nths)]

    @staticmethod
    def _move_clock(statement: str, **parameters: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
