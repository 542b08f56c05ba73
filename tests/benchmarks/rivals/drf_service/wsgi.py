"""The rival's web process."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.rivals.drf_service.settings")
application = get_wsgi_application()
