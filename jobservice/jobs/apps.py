"""The jobs app: the core. From accept to record, and the lanes and claims between them."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobservice.jobs"
    label = "jobs"
