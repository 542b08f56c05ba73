"""Every address of the service."""

from django.urls import include, path

urlpatterns = [
    path("", include("api.urls")),
    path("console/", include("tenants.console.urls")),
    path("dev/", include("tenants.console.dev_urls")),
]
