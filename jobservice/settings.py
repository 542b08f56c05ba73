"""Django's settings, all of them derived from `env.py`; there is one settings module for every process."""

import sys
from typing import Any

from django.db.backends.postgresql.psycopg_any import IsolationLevel

from jobservice import env
from jobservice.database import parse_database_url
from jobservice.logs import configure_logs

try:
    ENVIRONMENT = env.load()
except env.ConfigurationError as error:
    sys.stderr.write(f"{error}\n")
    raise SystemExit(2) from None

BASE_DIR = env.BASE_DIR
DEBUG = False
ALLOWED_HOSTS = ENVIRONMENT.allowed_hosts
ROOT_URLCONF = "jobservice.urls"
WSGI_APPLICATION = "jobservice.wsgi.application"
INSTALLED_APPS = ["tenants", "jobservice.webhooks", "jobservice.jobs", "api", "workers"]
MIDDLEWARE = ["api.middleware.RequestMiddleware"]
TEMPLATES: list[dict[str, Any]] = []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
APPEND_SLASH = False
# The parser refuses a body over the tenant's own limit; this bound only caps what Django itself would buffer.
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024

_ADDRESS = parse_database_url(ENVIRONMENT.database_url)
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **_ADDRESS,
        "ENGINE": "django.db.backends.postgresql",
        "CONN_HEALTH_CHECKS": True,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            **_ADDRESS["OPTIONS"],
            "application_name": f"jobservice {ENVIRONMENT.process}",
            "connect_timeout": 3,
            "isolation_level": IsolationLevel.READ_COMMITTED,
            # Prepared at the first use. A pooler in between must keep prepared statements (PgBouncer 1.21 or newer).
            "prepare_threshold": 0,
        },
    }
}
if ENVIRONMENT.process == "web":
    # A pool only here: Celery's prefork workers would close it after every task.
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = False
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 2, "max_size": ENVIRONMENT.web_threads + 2, "timeout": 2.0}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["api.rate_limits.IsWithinRateLimit", "api.permissions.HasDeclaredScopes"],
    "DEFAULT_PARSER_CLASSES": ["api.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["api.rendering.ApiRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.rendering.ApiNegotiation",
    "EXCEPTION_HANDLER": "api.errors.answer_exception",
    "UNAUTHENTICATED_USER": None,
    "NUM_PROXIES": 0,
}

LOGGING_CONFIG = None
configure_logs(format=ENVIRONMENT.log_format, level=ENVIRONMENT.log_level)
