"""How requests to one receiver are signed: the checked form of what a tenant chooses. No HTTP, no database."""

from __future__ import annotations

import re
from typing import TypedDict, cast

from jobservice.field_checks import Fields
from jobservice.webhooks.signing import Scheme

SCHEMES = ("v1", "v1a")
PUBLIC_KEY = re.compile(r"whpk_[0-9A-Za-z+/]{43}=")


class Signing(TypedDict):
    """`own`: under a secret of the receiver's own; otherwise under the tenant's default one."""

    scheme: Scheme
    own: bool


DEFAULT_SIGNING: Signing = {"scheme": "v1", "own": False}


def read_signing(fields: Fields, name: str, *, is_shown_too: bool = False) -> Signing | None:
    """The choice in a field, as a whole: what it does not name has its default. None when there is none.

    `is_shown_too`: it may be what was answered, with its public key, which says nothing when it is sent back.
    """
    signing = fields.fields(name)
    if signing is None:
        return None
    signing.refuse_others(known=frozenset({"scheme", "own", "public_key"} if is_shown_too else {"scheme", "own"}))
    public_key = signing.text("public_key", max_characters=100) if is_shown_too else None
    if public_key is not None and not PUBLIC_KEY.fullmatch(public_key):
        signing.refuse("public_key", "bad-format", "public_key is whpk_ and base64 of 32 bytes.")
    scheme = cast(Scheme | None, signing.choice("scheme", SCHEMES))
    return {"scheme": scheme or "v1", "own": signing.boolean("own") or False}
