"""The jobs app: the core. From accept to record, and the lanes and claims between them."""

from pathlib import Path

from django.apps import AppConfig

from jobservice.statements import keep_statements


class JobsConfig(AppConfig):
    name = "jobservice.jobs"
    label = "jobs"

    def ready(self) -> None:
        keep_statements(Path(__file__).resolve().parent / "sql")
