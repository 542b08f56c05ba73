"""The running service against its own document: thousands of generated requests, right and wrong, none ill answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.product import ROOT, Product, running

# Of each operation and phase. A longer look: `make security`, 500.
EXAMPLES = os.environ.get("TEST_SCHEMATHESIS_EXAMPLES", "25")
# The same requests each time, so that what fails was changed. Others: TEST_SCHEMATHESIS_SEED=2.
SEED = os.environ.get("TEST_SCHEMATHESIS_SEED", "1")
# Only the operations whose path this fits, such as `^/v1/queues`: so that a long look can be taken in pieces.
PATHS = os.environ.get("TEST_SCHEMATHESIS_PATHS", "")
# The longest that so many requests may take.
TIMEOUT_SECONDS = max(900, 60 * int(EXAMPLES))
# Every check is on, `ignored_auth`, `unsupported_method` and `ensure_resource_availability` too. But
# `object_level_authorization` needs a second user in a configuration file and does nothing without one: the access
# matrix asks that of every operation.
# Each of these has one of our own in its place, in `schemathesis_hooks.py`.
REPLACED = ("positive_data_acceptance", "negative_data_rejection", "status_code_conformance", "use_after_free")


def explore(product: Product, *, folder: Path) -> subprocess.CompletedProcess[str]:
    (own_key,) = product.call("GET", "/v1/api-keys")[1]["data"]
    return subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "run",
            f"{product.address}/v1/openapi.json",
            *("--url", product.address, "--header", f"Authorization: Bearer {product.key}"),
            *(("--include-path-regex", PATHS) if PATHS else ()),
            *("--checks", "all", "--exclude-checks", ",".join(REPLACED)),
            *("--max-examples", EXAMPLES, "--seed", SEED, "--continue-on-failure", "--no-color"),
            # How long an answer takes, or an example to think of, says how busy the machine is.
            *("--request-timeout", "60", "--suppress-health-check", "too_slow"),
        ],
        # What it remembers of earlier runs stays out of the repository.
        cwd=folder,
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.journeys.schemathesis_hooks",
            "PYTHONPATH": str(ROOT),
            "TEST_OWN_KEY_ID": own_key["id"],
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


# With the start and the stop of a product around them.
@pytest.mark.timeout(TIMEOUT_SECONDS + 120)
def test_no_generated_request_is_ill_answered(tmp_path: Path) -> None:
    # Generated jobs call generated addresses: nothing public is dialled.
    with running(tmp_path / "var", JOBSERVICE_EGRESS_PORTS="9") as product:
        # Almost every generated job names a queue of its own.
        product.command("set_quota", "demo", "queues=null", "webhook_endpoints=null")
        explored = explore(product, folder=tmp_path)
        assert explored.returncode == 0, explored.stdout + explored.stderr
        assert "Authentication failed" not in explored.stdout
        assert product.call("GET", "/readyz")[0] == 200
    assert '"status": 500' not in product.log
    assert "request_failed" not in product.log
