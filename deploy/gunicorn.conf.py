"""gunicorn's settings for the web process, all from the service's own environment."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("JOBSERVICE_PROCESS", "web")

from jobservice import env

try:
    _environment = env.load()
except env.ConfigurationError as error:
    sys.stderr.write(f"{error}\n")
    raise SystemExit(2) from None

wsgi_app = "jobservice.wsgi:application"
bind = f"{_environment.host}:{_environment.port}"
worker_class = "gthread"
workers = _environment.web_workers
threads = _environment.web_threads
# A pool of database connections does not survive a fork.
preload_app = False

timeout = 30
graceful_timeout = 30
keepalive = 5
max_requests = 100_000
max_requests_jitter = 10_000

# Nothing a client sends can pose as the proxy's word.
forwarder_headers = ""
header_map = "refuse"
limit_request_fields = 60
control_socket_disable = True

accesslog = None
loglevel = "warning"
if Path("/dev/shm").is_dir():  # noqa: S108 (gunicorn's heartbeat file must not wait for a disk)
    worker_tmp_dir = "/dev/shm"  # noqa: S108


def on_starting(_server: Any) -> None:
    """Check the start once, in a child: a connection opened in the master would be shared by every worker."""
    check = subprocess.run(
        [sys.executable, "-c", "from jobservice.wsgi import check_start; check_start()"], check=False
    )
    if check.returncode:
        raise SystemExit(2)
