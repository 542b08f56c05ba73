"""The tenants app: who the work belongs to, their keys, and the wall between them."""

from pathlib import Path

from django.apps import AppConfig

from jobservice.statements import keep_statements


class TenantsConfig(AppConfig):
    name = "tenants"

    def ready(self) -> None:
        keep_statements(Path(__file__).resolve().parent / "sql")
