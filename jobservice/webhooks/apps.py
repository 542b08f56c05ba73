"""The webhooks app: events, and telling the world about them."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "jobservice.webhooks"
    label = "webhooks"
