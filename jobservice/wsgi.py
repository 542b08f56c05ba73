"""The web process's entry point. Everything that can be wrong at start is found before the first request."""

import os

os.environ.setdefault("JOBSERVICE_PROCESS", "web")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobservice.settings")

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

application = get_wsgi_application()

# After the application, because these need Django's apps to be ready.
from jobservice.jobs.operator_handlers import load_operator_handlers  # noqa: E402
from tenants.boot import check_boot, exit_on_fault  # noqa: E402

# Import every view now: one that does not declare who may call it must stop the process, not a request.
_ = get_resolver().url_patterns
exit_on_fault(load_operator_handlers)


def check_start() -> None:
    """End the process with one sentence and exit code 2 when the web must not start."""
    exit_on_fault(check_boot)
