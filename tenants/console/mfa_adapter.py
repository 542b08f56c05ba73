"""allauth's adapter for second factors: their seeds are sealed before they are stored."""

from __future__ import annotations

from allauth.mfa.adapter import DefaultMFAAdapter

from tenants.seeds import open_seed, seal_seed


class SealedAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    def encrypt(self, text: str) -> str:
        return seal_seed(text)

    def decrypt(self, encrypted_text: str) -> str:
        return open_seed(encrypted_text)
