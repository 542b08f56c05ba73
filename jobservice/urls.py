"""Every address of the service."""

from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", include("api.urls")),
    # As people type it, and as `make run` and the pages call it.
    path("console", RedirectView.as_view(url="/console/")),
    path("console/", include("tenants.console.urls")),
    path("dev/", include("tenants.console.dev_urls")),
]
