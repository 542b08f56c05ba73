"""The webhooks app: events, and telling the world about them."""

from pathlib import Path

from django.apps import AppConfig

from jobservice.statements import keep_statements


class WebhooksConfig(AppConfig):
    name = "jobservice.webhooks"
    label = "webhooks"

    def ready(self) -> None:
        keep_statements(Path(__file__).resolve().parent / "sql")
