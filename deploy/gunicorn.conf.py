"""gunicorn's settings for the web process, all from the service's own environment."""

import math
import mmap
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

os.environ.setdefault("JOBSERVICE_PROCESS", "web")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobservice.settings")

from jobservice import env

try:
    _environment = env.load()
except env.ConfigurationError as error:
    sys.stderr.write(f"{error}\n")
    raise SystemExit(2) from None

# gunicorn would say "ready" to it before there is a worker.
os.environ.pop("NOTIFY_SOCKET", None)

wsgi_app = "jobservice.wsgi:application"
# `manage.py up` keeps the port open itself, so that no connection is refused while this process is away.
bind = (
    f"{_environment.host}:{_environment.port}" if _environment.listen_fd is None else f"fd://{_environment.listen_fd}"
)
# gthread, with problem documents and time limits for clients.
worker_class = "api.web_worker.WebWorker"
workers = _environment.web_workers
threads = _environment.web_threads
# A pool of database connections does not survive a fork.
preload_app = False

timeout = 30
graceful_timeout = max(1, math.ceil(_environment.stop_grace_seconds))
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
if Path("/dev/shm").is_dir():  # noqa: S108 (gunicorn's heartbeat file must not wait for a disk)  # nosec B108
    worker_tmp_dir = "/dev/shm"  # noqa: S108  # nosec B108


# A byte per worker, shared over the fork: which of them have booted.
_booted = mmap.mmap(-1, workers)


def post_worker_init(worker: Any) -> None:
    """Each worker counts into the folder that all processes of this machine share and goes on with bulk actions; the
    last to boot says "ready"."""
    from jobservice.jobs.bulk_runner import start_bulk_runner
    from jobservice.jobs.bulk_turns import serve_next_action  # here: Django is ready only now
    from jobservice.meters import keep_metrics_in  # here: the master counts nothing
    from jobservice.ready import say_ready
    from tenants.boot import prepare_acts

    keep_metrics_in(_environment.metrics_dir)
    prepare_acts()
    start_bulk_runner(serve_next_action)
    # A later one takes the place of an earlier one. To say it more than once hurts nobody.
    _booted[(worker.age - 1) % workers] = 1
    if all(_booted):
        say_ready(_environment.notify_socket)


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
        if _environment.notify_socket:
            _check_ready()
        connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL backend only
        status = 0
    except SystemExit as end:
        status = 2 if end.code else 0
    except Exception:  # noqa: BLE001 (whatever it is, the child must end here and not become a second master)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _check_ready() -> None:
    """Who waits for the word "ready" must not hear it from a process that answers 503, nor should it take requests."""
    from api.health import find_readiness_fault

    if (fault := find_readiness_fault()) is not None:
        sys.stderr.write(f"{fault}\n")
        raise SystemExit(2)
