"""Random texts that are put through the product's doors, and the search for them in all their forms."""

from __future__ import annotations

import base64
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


def forms_of(text: bytes) -> dict[bytes, str]:
    """Every form in which a text is looked for, and its name. Base64 in all three places of its first byte."""
    forms = {
        text: "plain",
        text.hex().encode(): "hex",
        text.hex().upper().encode(): "HEX",
        text.decode("latin-1").encode("utf-16-le"): "UTF-16",
        text.decode("latin-1").encode("utf-16-be"): "UTF-16, big-endian",
        b"".join(b"%%%02X" % byte for byte in text): "URL-encoded",
        b"".join(b"\\u%04x" % byte for byte in text): "JSON-escaped",
    }
    for before in range(3):
        # What a text has of its own: without the characters that it shares with its neighbours.
        encoded = base64.b64encode(bytes(before) + text)
        own = encoded[(before * 8 + 5) // 6 : (before + len(text)) * 8 // 6]
        forms[own] = forms[own.replace(b"+", b"-").replace(b"/", b"_")] = "base64"
    return forms


@dataclass
class Canaries:
    """Texts of one run: all begin alike, so that one search finds them. `given` are secrets that the product made."""

    mark: str = field(default_factory=lambda: f"cnry{secrets.token_hex(5)}")
    decoy: str = field(default_factory=lambda: f"decoy{secrets.token_hex(8)}")
    given: set[str] = field(default_factory=set)
    doors: Counter[str] = field(default_factory=Counter)

    def new(self, door: str) -> str:
        """A text that nobody has seen, for this door."""
        self.doors[door] += 1
        return f"{self.mark}x{secrets.token_hex(8)}"

    def keep(self, door: str, secret: str) -> str:
        """A secret that the product made and showed once."""
        self.doors[door] += 1
        self.given.add(secret)
        return secret

    def find(self, content: bytes) -> list[str]:
        """Where in the content is any canary: its form and what stands around it."""
        content = content.rstrip(b"\0")
        needles = forms_of(self.mark.encode()) | dict.fromkeys(self._needles(), "given")
        found = []
        for needle, form in needles.items():
            at = content.find(needle)
            if at >= 0:
                found.append(f"{form}: {content[max(0, at - 80) : at + 120]!r}")
        return found

    def has_decoy(self, content: bytes) -> bool:
        """Whether the decoy is in the content, in any form: the search of this place bites."""
        return any(form in content for form in forms_of(self.decoy.encode()))

    def _needles(self) -> Iterable[bytes]:
        """What is random in each given secret, as text and as the bytes that it stands for."""
        for secret in self.given:
            is_named = secret.startswith(("js_live_", "js_invite_", "whsec_"))
            text = (secret.rpartition("_")[2] if is_named else secret).encode()
            yield text
            yield text.hex().encode()
            if secret.startswith("whsec_"):
                yield base64.b64decode(text)
