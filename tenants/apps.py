"""The tenants app: who the work belongs to, their keys, and the wall between them."""

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"
