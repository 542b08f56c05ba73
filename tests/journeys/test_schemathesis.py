"""The running service against its own document: thousands of generated requests, right and wrong, none ill answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.journeys.product import ROOT, Product, running

# Of each operation and phase. A longer look: TEST_SCHEMATHESIS_EXAMPLES=500.
EXAMPLES = os.environ.get("TEST_SCHEMATHESIS_EXAMPLES", "15")


def explore(product: Product, *, folder: Path) -> subprocess.CompletedProcess[str]:
    (own_key,) = product.call("GET", "/v1/api-keys")[1]["data"]
    return subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "run",
            f"{product.address}/v1/openapi.json",
            *("--url", product.address, "--header", f"Authorization: Bearer {product.key}"),
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance,negative_data_rejection,use_after_free"),
            *("--max-examples", EXAMPLES, "--continue-on-failure", "--no-color"),
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
        timeout=600,
        check=False,
    )


def test_no_generated_request_is_ill_answered(tmp_path: Path) -> None:
    # Generated jobs call generated addresses: nothing public is dialled.
    with running(tmp_path / "var", JOBSERVICE_EGRESS_PORTS="9") as product:
        explored = explore(product, folder=tmp_path)
        assert explored.returncode == 0, explored.stdout + explored.stderr
        assert "Authentication failed" not in explored.stdout
        assert product.call("GET", "/readyz")[0] == 200
    assert '"status": 500' not in product.log
    assert "request_failed" not in product.log
