"""Which children a machine runs, and what each of them sees of the environment. Only data: nothing starts here."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobservice.egress.own_inbox import is_address, own_address
from jobservice.env import BASE_DIR, Environment
from jobservice.key_settings import SECRET_SETTINGS
from workers.supervisor.children import ChildSpec
from workers.supervisor.connections import OWNER, RUNTIME_ROLES, VARIABLES, is_given
from workers.supervisor.embedded_postgres import EmbeddedPostgres
from workers.supervisor.embedded_valkey import EmbeddedValkey
from workers.supervisor.launch import wrap_command
from workers.supervisor.readiness import describe_site

LOOPBACK = "127.0.0.0/8,::1/128"
DEMO_HANDLERS = "jobservice.handlers.demo"
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
    # It gets the port's open socket.
    listens: bool = False


PROGRAMS = (
    Program(
        "web",
        ("-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "jobservice.wsgi:application"),
        "web",
        STOP_WEB,
        listens=True,
    ),
    Program("dispatcher", ("manage.py", "dispatcher"), "dispatcher", STOP_DISPATCHER),
    Program("handlers", ("manage.py", "worker", "handlers"), "worker", STOP_WORKERS),
    Program("egress", ("manage.py", "worker", "egress"), "worker", STOP_WORKERS),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The programs to run, from which folder, and the script with the operator's commands.

    `is_durable` is False in tests only, which would otherwise wait for the disk. A successor has `ready_seconds` to
    get ready in a rolling restart.
    """

    programs: tuple[Program, ...] = PROGRAMS
    folder: Path = BASE_DIR
    manage_script: str = "manage.py"
    is_durable: bool = True
    ready_seconds: float = 60.0


def plan_program(program: Program, environment: Environment, *, plan: Plan, listener: int) -> ChildSpec:
    """`listener` is the number of the port's open socket."""
    variables = dict(child_environment(environment, role=program.role))
    if program.listens:
        variables["JOBSERVICE_LISTEN_FD"] = str(listener)
    command = wrap_command([sys.executable, *program.arguments], death_signal=signal.SIGKILL)
    return ChildSpec(
        name=program.name,
        command=tuple(command),
        environment=variables,
        stop_order=program.stop_order,
        folder=plan.folder,
        descriptors=(listener,) if program.listens else (),
        says_ready=True,
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
    if is_embedded():
        _add_demo(variables, environment)
    if not environment.public_url:
        variables["JOBSERVICE_PUBLIC_URL"] = f"http://127.0.0.1:{environment.port}"
    # These two are between this process and whoever started it.
    for name in ("NOTIFY_SOCKET", "JOBSERVICE_LISTEN_FD"):
        variables.pop(name, None)
    if role not in (OWNER, "web"):
        # Nobody else writes to people.
        for name in ("JOBSERVICE_SMTP_URL", "JOBSERVICE_SMTP_URL_FILE"):
            variables.pop(name, None)
    if role != OWNER:
        variables.pop(VARIABLES[OWNER], None)
        variables.pop(f"{VARIABLES[OWNER]}_FILE", None)
    if role == "dispatcher":
        # It opens nothing, so it gets nothing that opens.
        for name in SECRET_SETTINGS:
            variables.pop(name, None)
            variables.pop(f"{name}_FILE", None)
    return variables


def is_embedded() -> bool:
    """Whether everything runs over a database that this supervisor keeps itself, for a person who tries the service."""
    return not any(is_given(name) for name in (OWNER, *RUNTIME_ROLES))


def _add_demo(variables: dict[str, str], environment: Environment) -> None:
    """The handler of the demo tenant's jobs, and the inbox unless it is switched off or could not be called."""
    variables["JOBSERVICE_HANDLERS"] = ",".join(dict.fromkeys([*environment.handlers, DEMO_HANDLERS]))
    variables.pop("JOBSERVICE_HANDLERS_FILE", None)
    own = own_address(environment.host)
    if is_address(own) and describe_site(own, environment.port, environment.allowed_hosts).name.strip("[]") == own:
        variables.setdefault("JOBSERVICE_DEV_INBOX", "on")
