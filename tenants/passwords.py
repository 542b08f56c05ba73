"""The rules of a password beside Django's own: long, and not a common one; what it is made of is nobody's affair."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

# A hash takes as long as the text is: nobody types more, and no request may cost more.
LONGEST_PASSWORD = 256
# What somebody here would try first, besides the address and common passwords (docs/console.md).
CONTEXT_WORDS = (
    *("jobservice", "console", "tenant", "operator", "administrator", "admin", "owner", "viewer", "member"),
    *("password", "passphrase", "passwort", "welcome", "willkommen", "login", "secret", "changeme", "letmein"),
)
# So many letters and digits must be left without them.
_LEFT = 6
_SHORTEST_PART = 3


class MaximumLengthValidator:
    """Django's validators know no upper bound."""

    def validate(self, password: str, user: object | None = None) -> None:
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(_("This password has more than %d characters.") % LONGEST_PASSWORD)
        if "\x00" in password:
            raise ValidationError(_("This password holds a character that cannot be typed."))

    def get_help_text(self) -> str:
        return _("Your password can have %d characters at most.") % LONGEST_PASSWORD


class ContextWordsValidator:
    """A password is more than this service's words, those of one's address, and a few digits."""

    def validate(self, password: str, user: object | None = None) -> None:
        parts = re.split(r"[^a-z0-9]+", getattr(user, "email", "").lower())
        words = {*CONTEXT_WORDS, *(part for part in parts if len(part) >= _SHORTEST_PART)}
        rest = password.lower()
        for word in sorted(words, key=len, reverse=True):
            rest = rest.replace(word, "")
        if sum(character.isalnum() for character in rest) < _LEFT:
            raise ValidationError(_("This password is made of words that are easily guessed here."))

    def get_help_text(self) -> str:
        return _("Your password must be more than the words of this service and of your address.")
