"""The syntax of a URL that the service may dial, whatever the policy. One parser reads it: yarl, which sends it too."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from unicodedata import is_normalized

from yarl import URL

from jobservice.egress.addresses import Address
from jobservice.errors import EgressRefused

MAX_URL_CHARACTERS = 2048

# What may stand between // and the path: no user, no percent sign, no zone, a port of ASCII digits only (yarl would
# also read "+80", "8_0" and full-width digits).
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:@%/?#\\]+)(?::[0-9]{1,5})?")
_HOST_NAME = re.compile(r"(?!.{254})(?:(?!-)[a-z0-9_-]{1,63}(?<!-)\.)*(?!-)[a-z0-9_-]{1,63}(?<!-)\.?")
# A host whose last label is a number is read as an IPv4 address by browsers and C libraries: 127.1, 0x7f.1, 2130706433.
_NUMERIC_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")


@lru_cache(maxsize=1024)
def parse_url(text: str) -> URL:
    """The URL, its host lower-case ASCII and its path percent-encoded.

    Raises `EgressRefused` with a sentence when the text is not a plain http or https URL.
    """
    _check_text(text)
    try:
        url = URL(text)
        authority = URL(text, encoded=True).raw_authority
    except ValueError:
        raise EgressRefused("The URL cannot be parsed.") from None
    if url.scheme not in ("http", "https"):
        raise EgressRefused("The URL must start with https:// or http://.")
    if "@" in authority:
        raise EgressRefused("The URL must not hold a user name or password.")
    if not _AUTHORITY.fullmatch(authority) or not url.port:
        raise EgressRefused("The host or port of the URL is malformed.")
    # Parsers differ on letters that stand for others, such as full-width ones.
    if not is_normalized("NFKC", authority):
        raise EgressRefused("The host of the URL must not be written with special forms of letters.")
    _check_host(url.raw_host or "", is_plain=authority.isascii())
    # Digits of another script stay a name for the DNS, but not for whoever reads them with Python's int().
    if (url.host or "").removesuffix(".").rpartition(".")[2].isdecimal() and literal_address(host_of(url)) is None:
        raise EgressRefused("The host of the URL must not be a number.")
    if len(str(url)) > MAX_URL_CHARACTERS:
        raise EgressRefused(f"The URL is longer than {MAX_URL_CHARACTERS} characters when encoded.")
    return url


def host_of(url: URL) -> str:
    """The host to compare: lower-case, ASCII, without the root's trailing dot."""
    return (url.raw_host or "").removesuffix(".")


@lru_cache(maxsize=1024)
def literal_address(host: str) -> Address | None:
    """The address when the host is one in its canonical form, else None: the host is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check_text(text: str) -> None:
    if len(text) > MAX_URL_CHARACTERS:
        raise EgressRefused(f"The URL is longer than {MAX_URL_CHARACTERS} characters.")
    # Not printable: control, format and separator characters of all of Unicode, and lone surrogates.
    if " " in text or not text.isprintable():
        raise EgressRefused("The URL must not hold control characters or white space.")
    if "\\" in text:
        raise EgressRefused("The URL must not hold a backslash.")
    if "#" in text:
        raise EgressRefused("The URL must not hold a fragment.")


def _check_host(host: str, *, is_plain: bool) -> None:
    if literal_address(host) is not None:
        if not is_plain:
            raise EgressRefused("The host of the URL must not be an address written with special characters.")
        return
    if _NUMERIC_END.fullmatch(host):
        raise EgressRefused("The host of the URL must not be a number.")
    if not _HOST_NAME.fullmatch(host):
        raise EgressRefused("The host of the URL is not a valid name.")
