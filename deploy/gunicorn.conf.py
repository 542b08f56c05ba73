"""gunicorn's settings for the web process, all from the service's own environment."""

import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

os.environ.setdefault("JOBSERVICE_PROCESS", "web")

from jobservice import env

try:
    _environment = env.load()
except env.ConfigurationError as error:
    sys.stderr.write(f"{error}\n")
    raise SystemExit(2) from None

wsgi_app = "jobservice.wsgi:application"
bind = f"{_environment.host}:{_environment.port}"
# gthread, with problem documents and time limits for clients.
worker_class = "api.web_worker.WebWorker"
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


def post_worker_init(_worker: Any) -> None:
    """Each worker counts into the folder that all processes of this machine share."""
    from jobservice.meters import keep_metrics_in  # here: the master counts nothing

    keep_metrics_in(_environment.metrics_dir)


def on_starting(_server: Any) -> None:
    """Import the service once for all workers; check the start once, in a child, before any of them.

    Only modules are shared over the fork: no connection, no thread, no key and none of the operator's own modules.
    """
    _import_service()
    # A connection opened in the master would be shared by every worker.
    pid = os.fork()
    if pid == 0:
        _check_start()
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(2)


def _import_service() -> None:
    from django.core.wsgi import get_wsgi_application
    from django.urls import get_resolver

    get_wsgi_application()
    _ = get_resolver().url_patterns


def _check_start() -> NoReturn:
    """In the child: end with 0 when the web may start, else print the sentence and end with another number."""
    status = 1
    try:
        from django.db import connection

        from jobservice.wsgi import check_start

        check_start()
        connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL backend only
        status = 0
    except SystemExit as end:
        status = 2 if end.code else 0
    except Exception:  # noqa: BLE001 (whatever it is, the child must end here and not become a second master)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
