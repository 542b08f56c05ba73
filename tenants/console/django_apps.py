"""Django's and allauth's apps as the console needs them: their models, and nothing that they do by themselves.

No permission of Django's is used (see tenants/roles.py), so none is written after each migration; and allauth's
middleware, which would stand before the API too, is replaced by the console's own.
"""

from allauth.account.apps import AccountConfig
from django.contrib.auth.apps import AuthConfig
from django.contrib.contenttypes.apps import ContentTypesConfig


class ContentTypes(ContentTypesConfig):
    def ready(self) -> None:
        pass


class Auth(AuthConfig):
    def ready(self) -> None:
        pass


class AllauthAccount(AccountConfig):  # type: ignore[misc]  # allauth has no types
    def ready(self) -> None:
        pass
