"""Runs the real supervisor over the stand-ins. Arguments: `name=behaviour` of programs that are not well-behaved.

READY_SECONDS is how long it waits for a program to be ready: for those that never are, a test says less than the rest.
"""

import os
import sys
from pathlib import Path

from jobservice import env
from workers.supervisor.plan import STOP_DISPATCHER, STOP_WEB, STOP_WORKERS, Plan, Program
from workers.supervisor.supervisor import run_supervisor

behaviours = dict(argument.split("=") for argument in sys.argv[1:])
programs = [Program("web", ("web.py",), "web", STOP_WEB, listens=True)]
for name in ("dispatcher", "egress", *(behaviours.keys() - {"dispatcher", "egress"})):
    behaviour = behaviours.get(name, "well-behaved")
    role, order = ("dispatcher", STOP_DISPATCHER) if name == "dispatcher" else ("worker", STOP_WORKERS)
    programs.append(Program(name, ("program.py", name, behaviour), role, order))
try:
    ready_seconds = float(os.environ.get("READY_SECONDS", "60"))
    plan = Plan(programs=tuple(programs), folder=Path(__file__).parent, is_durable=False, ready_seconds=ready_seconds)
    sys.exit(run_supervisor(env.load(), plan=plan))
except env.ConfigurationError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(2)
