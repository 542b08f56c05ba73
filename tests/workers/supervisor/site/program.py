"""Stands in for a dispatcher or worker: prints its process ids, has a child of its own, stops on TERM."""

import os
import signal
import subprocess
import sys
from pathlib import Path

name, behaviour = sys.argv[1:3]
if behaviour == "fails-at-once":
    sys.exit(3)


def stop(_number: int, _frame: object) -> None:
    if behaviour == "stubborn":
        return
    os.write(1, f"{name} got TERM\n".encode())
    grandchild.kill()
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
role, database_url = os.environ["JOBSERVICE_PROCESS"], os.environ.get("DATABASE_URL", "none")
open_files = sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir() if entry.exists())
print(f"{name} pids {os.getpid()} {grandchild.pid} role {role} owner {database_url} files {open_files}", flush=True)
while True:
    signal.pause()
