"""The database and a small model of a job's life agree, whatever is done in whatever order."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from jobservice.jobs.job_types import put_job_type
from tests.factories import make_tenant
from tests.races.life_machine import DISCARDING, LifeMachine
from tests.roles import as_role

# The everyday run is the same each time; `make model` sets many and prints the seed that it draws.
RUNS, STEPS = int(os.environ.get("MODEL_RUNS", "10")), int(os.environ.get("MODEL_STEPS", "50"))
SEED = int(os.environ.get("MODEL_SEED", "1"))


@pytest.mark.timeout(4 * 3600 if RUNS > 100 else 300)
def test_no_order_of_verbs_makes_the_database_and_the_model_differ(committed: None) -> None:
    class Machine(LifeMachine):
        tenants = (make_tenant(), make_tenant())

    for tenant in Machine.tenants:
        with as_role("web"):
            raw = {"executor": "handler", "handler": "echo", "on_crash": "discard"}
            put_job_type(tenant.id, DISCARDING, raw)
    print(f"MODEL_SEED={SEED} MODEL_RUNS={RUNS} MODEL_STEPS={STEPS}")
    run_state_machine_as_test(
        seed(SEED)(Machine),
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            # To shrink a failure takes minutes, and is asked for.
            phases=(Phase.generate, Phase.shrink) if "MODEL_SHRINK" in os.environ else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
