"""Stands in for a dispatcher or worker: prints its process ids, has a child of its own, says ready, stops on TERM.

A file named after it in the data folder holds the behaviour of its later starts: a release that is worse, or slower.
One that is held is ready when there is a file "let-go" in that folder.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from jobservice.ready import say_ready

name, behaviour = sys.argv[1:3]
folder = Path(os.environ["JOBSERVICE_DATA_DIR"])
release = folder / f"{name}.release"
if release.exists():
    behaviour = release.read_text()
if behaviour == "fails-at-once":
    sys.exit(3)
if behaviour == "refuses":
    print("a line before", file=sys.stderr)
    sys.stderr.write("JOBSERVICE_HANDLERS: the module nope.mod cannot be imported.\n")
    sys.exit(2)
if behaviour == "refuses-later":
    while not (folder / "greeted").exists():
        time.sleep(0.05)
    sys.exit(2)


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
if behaviour == "slow":
    time.sleep(2)
    print(f"{name} is slowly ready", flush=True)
if behaviour == "held":
    while not (folder / "let-go").exists():
        time.sleep(0.05)
if behaviour != "never-ready":
    say_ready(os.environ["NOTIFY_SOCKET"])
while True:
    signal.pause()
