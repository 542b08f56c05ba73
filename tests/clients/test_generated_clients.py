"""Clients generated from the document, as a tenant's developer would have them, against the running service.

Run in CI: the generators come from the package registries, into folders that are thrown away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.openapi.views import DOCUMENT_PATH
from tests.journeys.product import Product, running

HERE = Path(__file__).resolve().parent
NODE_MAJOR = 18

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running(tmp_path_factory.mktemp("product") / "var") as product:
        yield product


def run(*command: str | Path, folder: Path, product: Product | None = None) -> str:
    """What the command printed; fails with all of it when the command does."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JOBSERVICE_", "PYTHON"))}
    if product is not None:
        environment |= {"JOBSERVICE_URL": product.address, "JOBSERVICE_API_KEY": product.key}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    return done.stdout


def test_a_generated_python_client_submits_a_job_and_reads_its_result(product: Product, tmp_path: Path) -> None:
    source = HERE / "python"
    run(sys.executable, "-m", "venv", "venv", folder=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
    run(python, *install, "-r", source / "requirements.lock", folder=tmp_path)
    told = run(
        tmp_path / "venv" / "bin" / "openapi-python-client",
        *("generate", "--path", DOCUMENT_PATH, "--output-path", "jobservice_client", "--meta", "none"),
        *("--config", source / "generator.yaml", "--fail-on-warning"),
        folder=tmp_path,
    )
    assert "Warning" not in told
    shutil.copy(source / "submit.py", tmp_path)
    assert "result {'n': [1, None, 'ü']}" in run(python, "submit.py", folder=tmp_path, product=product)


def test_generated_typescript_types_compile_and_submit_a_job(product: Product, tmp_path: Path) -> None:
    check_node()
    for path in (HERE / "typescript").iterdir():
        shutil.copy(path, tmp_path)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=tmp_path)
    binaries = tmp_path / "node_modules" / ".bin"
    run(binaries / "openapi-typescript", DOCUMENT_PATH, "-o", "schema.d.ts", folder=tmp_path)
    run(binaries / "tsc", folder=tmp_path)
    assert 'result {"n":[1,null,"ü"]}' in run("node", "built/submit.js", folder=tmp_path, product=product)


def check_node() -> None:
    """Fail with a sentence where there is no node that could run the client."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.fail(f"The generated TypeScript client needs node {NODE_MAJOR} or newer and npm; install them.")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < NODE_MAJOR:
        pytest.fail(f"The generated TypeScript client needs node {NODE_MAJOR} or newer, not {version}.")
