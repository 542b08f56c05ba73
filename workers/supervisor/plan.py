"""Which children a machine runs, and what each of them sees of the environment. Only data: nothing starts here."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobservice.env import BASE_DIR, Environment
from workers.supervisor.children import ChildSpec
from workers.supervisor.connections import OWNER, VARIABLES
from workers.supervisor.embedded_postgres import EmbeddedPostgres
from workers.supervisor.embedded_valkey import EmbeddedValkey
from workers.supervisor.launch import wrap_command

LOOPBACK = "127.0.0.0/8,::1/128"
# A child may need this much longer than the jobs' grace time to write down what it gave back.
EXTRA_GRACE_SECONDS = 5.0
STOP_WEB, STOP_DISPATCHER, STOP_WORKERS, STOP_BROKER, STOP_DATABASE = range(1, 6)


@dataclass(frozen=True, slots=True)
class Program:
    """One process of the service itself: a command of the project, run as one database role."""

    name: str
    arguments: tuple[str, ...]
    role: str
    stop_order: int


PROGRAMS = (
    Program("web", ("-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "jobservice.wsgi:application"), "web", STOP_WEB),
    Program("dispatcher", ("manage.py", "dispatcher"), "dispatcher", STOP_DISPATCHER),
    Program("handlers", ("manage.py", "worker", "handlers"), "worker", STOP_WORKERS),
    Program("egress", ("manage.py", "worker", "egress"), "worker", STOP_WORKERS),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The programs to run, from which folder, and the script with the operator's commands.

    `is_durable` is False in tests only, which would otherwise wait for the disk.
    """

    programs: tuple[Program, ...] = PROGRAMS
    folder: Path = BASE_DIR
    manage_script: str = "manage.py"
    is_durable: bool = True


def plan_program(program: Program, environment: Environment, *, plan: Plan) -> ChildSpec:
    command = wrap_command([sys.executable, *program.arguments], death_signal=signal.SIGKILL)
    return ChildSpec(
        name=program.name,
        command=tuple(command),
        environment=child_environment(environment, role=program.role),
        stop_order=program.stop_order,
        folder=plan.folder,
        grace_seconds=environment.stop_grace_seconds + EXTRA_GRACE_SECONDS,
    )


def plan_operator_command(arguments: tuple[str, ...], environment: Environment, *, plan: Plan) -> ChildSpec:
    """A command of the operator's, run once as the database's owner."""
    command = wrap_command([sys.executable, plan.manage_script, *arguments], death_signal=signal.SIGKILL)
    return ChildSpec(
        name=arguments[0],
        command=tuple(command),
        environment=child_environment(environment, role=OWNER),
        stop_order=STOP_WEB,
        folder=plan.folder,
    )


def plan_postgres(postgres: EmbeddedPostgres) -> ChildSpec:
    return ChildSpec(
        name="postgres",
        command=tuple(postgres.command()),
        environment=postgres.environment,
        stop_order=STOP_DATABASE,
        # TERM would wait for every client to leave.
        stop_signal=signal.SIGINT,
        kill_signal=signal.SIGQUIT,
        grace_seconds=30.0,
        before_start=postgres.clear_leftovers,
    )


def plan_valkey(valkey: EmbeddedValkey) -> ChildSpec:
    return ChildSpec(
        name="valkey", command=tuple(valkey.command()), environment=valkey.environment, stop_order=STOP_BROKER
    )


def child_environment(environment: Environment, *, role: str) -> Mapping[str, str]:
    """The operator's variables and the defaults of `make run`; only the owner's commands get the owner's address."""
    variables = {
        **os.environ,
        "JOBSERVICE_PROCESS": role,
        "JOBSERVICE_DATA_DIR": str(environment.data_dir),
        "PORT": str(environment.port),
        "PYTHONUNBUFFERED": "1",
    }
    variables.setdefault("JOBSERVICE_EGRESS_ALLOW", LOOPBACK)
    if not environment.public_url:
        variables["JOBSERVICE_PUBLIC_URL"] = f"http://127.0.0.1:{environment.port}"
    if role != OWNER:
        variables.pop(VARIABLES[OWNER], None)
        variables.pop(f"{VARIABLES[OWNER]}_FILE", None)
    return variables
