"""Django's settings, all of them derived from `env.py`; there is one settings module for every process."""

import sys
from typing import Any

from csp.constants import NONE, SELF
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.utils.translation import to_language

from jobservice import env
from jobservice.crash_points import arm_crash_points
from jobservice.database import parse_database_url
from jobservice.logs import configure_logs, log_event

try:
    ENVIRONMENT = env.load()
    arm_crash_points(ENVIRONMENT.crash_points_dir)
except env.ConfigurationError as error:
    sys.stderr.write(f"{error}\n")
    raise SystemExit(2) from None

BASE_DIR = env.BASE_DIR
DEBUG = False
ALLOWED_HOSTS = ENVIRONMENT.allowed_hosts
ROOT_URLCONF = "jobservice.urls"
WSGI_APPLICATION = "jobservice.wsgi.application"
INSTALLED_APPS = [
    "tenants",
    "jobservice.webhooks",
    "jobservice.jobs",
    "api",
    "workers",
    # What the console's logins stand on; see tenants/console/django_apps.py.
    "tenants.console.django_apps.ContentTypes",
    "tenants.console.django_apps.Auth",
    "tenants.console.django_apps.AllauthAccount",
    "allauth.mfa",
]
# Sessions, cookies and pages are the console's alone: its middleware leaves every other address as it is.
MIDDLEWARE = ["api.middleware.RequestMiddleware", "tenants.console.middleware.ConsoleMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
# The console alone is translated; what the API says is part of its contract.
USE_I18N = True
LANGUAGE_CODE = "en"
LOCALE_PATHS = [BASE_DIR / "tenants" / "console" / "locale"]
# English, and each language whose compiled catalogue is there.
LANGUAGES = [
    ("en", "English"),
    *((code, code) for path in sorted(LOCALE_PATHS[0].glob("*/*/django.mo")) if (code := to_language(path.parts[-3]))),
]
APPEND_SLASH = False
# The parser refuses a body over the tenant's own limit; this bound only caps what Django itself would buffer.
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024
# Nobody uploads files: none is ever written to a disk.
FILE_UPLOAD_HANDLERS: list[str] = []

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
            # Prepared at the first use, or never: an older pooler in between does not keep them.
            "prepare_threshold": 0 if ENVIRONMENT.prepared_statements else None,
        },
    }
}
if ENVIRONMENT.process == "web":
    # A pool only here: Celery's prefork workers would close it after every task.
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = False
    # One of them for the thread that goes on with bulk actions.
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 2, "max_size": ENVIRONMENT.web_threads + 3, "timeout": 2.0}

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

# People, who log in to the console only.
AUTH_USER_MODEL = "tenants.Account"
# Memory-hard, and of the standard library; the second one only reads what an import may bring.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "tenants.passwords.MaximumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "tenants.passwords.ContextWordsValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email"]},
    },
]
SESSION_ENGINE = "tenants.console.session_store"
# The prefix lets a browser take it only from this very host, over TLS or from the machine itself.
SESSION_COOKIE_NAME = "__Host-jobservice"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = ENVIRONMENT.session_seconds
CSRF_COOKIE_NAME = "__Host-jobservice-csrf"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_AGE = None
CSRF_FAILURE_VIEW = "tenants.console.answers.refuse_forged"
# Behind a proxy that ends TLS the browser names this origin.
CSRF_TRUSTED_ORIGINS = [ENVIRONMENT.public_origin] if ENVIRONMENT.public_origin else []
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
STATIC_URL = "/console/static/"
# Addresses of the console's files change with their content.
WHITENOISE_MAX_AGE = 31_536_000
# They are for our own pages only.
WHITENOISE_ALLOW_ALL_ORIGINS = False
STATIC_ROOT = BASE_DIR / "tenants" / "console" / "static"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "tenants" / "console" / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csrf",
                "csp.context_processors.nonce",
                "tenants.console.person.show_person",
                "tenants.console.shell.show_shell",
            ],
            "builtins": [
                "django.templatetags.i18n",
                "django.templatetags.l10n",
                "django.templatetags.static",
                "tenants.console.templatetags.console",
                "tenants.console.templatetags.figures",
            ],
        },
    }
]
# Of allauth only the second factors are used: their table, their codes and their ceremonies.
MFA_ADAPTER = "tenants.console.mfa_adapter.SealedAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_USER_VERIFICATION = "required"
MFA_TOTP_ISSUER = "jobservice"
# One period of thirty seconds before and after: clocks of telephones differ.
MFA_TOTP_TOLERANCE = 1
MFA_RECOVERY_CODE_COUNT = 10
MFA_RECOVERY_CODE_DIGITS = 10
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*"]

LOGGING_CONFIG = None
configure_logs(format=ENVIRONMENT.log_format, level=ENVIRONMENT.log_level)
if ENVIRONMENT.crash_points_dir is not None:
    log_event("crash_points_armed", level="warning")
