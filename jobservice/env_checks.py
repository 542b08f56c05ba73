"""What a variable's value may be: one check per kind of value. A fault says what is expected and names no variable.

Where a value may hold a secret its fault does not repeat it.
"""

from __future__ import annotations

import ipaddress
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from environs import ValidationError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

BROKER_SCHEMES = ("amqp", "amqps", "pyamqp", "redis", "rediss", "redis+socket")
SMTP_SCHEMES = ("smtps", "smtp+starttls", "smtp")
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_MAIL_ADDRESS = re.compile(r"[!-?A-~]+@[!-?A-~]+")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def whole_number(low: int, high: int) -> dict[str, Any]:
    """The options of a field for a whole number in this range."""
    return _number(f"a whole number between {low} and {high}", low, high)


def seconds(low: float, high: float) -> dict[str, Any]:
    """The options of a field for a duration in this range."""
    return {**_number(f"a number of seconds between {low:g} and {high:g}", low, high), "allow_nan": True}


def one_of(choices: Iterable[str]) -> Callable[[str], None]:
    known = tuple(choices)

    def check(value: str) -> None:
        if value not in known:
            raise ValidationError(f"{value!r} is none of {', '.join(known)}.")

    return check


def split_parts(text: str) -> list[str]:
    """What stands between the commas; nothing of an empty text."""
    return [part.strip() for part in text.split(",")] if text.strip() else []


def check_parts(text: str, read: Callable[[str], Any], *, least: int = 0) -> None:
    """Raise `ValidationError` with the fault of each part that `read` refuses."""
    parts = split_parts(text)
    faults: list[Any] = []
    if len(parts) < least:
        raise ValidationError(f"it is empty; name at least {least}, or unset it.")
    for part in parts:
        try:
            read(part)
        except ValidationError as error:
            faults += error.messages
    if faults:
        raise ValidationError(faults)


def read_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValidationError(f"{text!r} is not a network such as 10.0.0.0/8.") from None


def read_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValidationError(f"{text!r} is not a port between 1 and 65535.")
    return int(text)


def read_scheme(text: str) -> str:
    if text not in ("http", "https"):
        raise ValidationError(f"{text!r} is neither http nor https.")
    return text


def read_allowed_host(text: str) -> str:
    """A name that requests may carry: one host, every host below a domain (`.example.com`), or `*` for any."""
    if text != "*" and not is_host(text.removeprefix(".")):
        raise ValidationError(
            f"{text!r} is not a host name such as jobs.example.com, without scheme or port; put commas between names."
        )
    return text


def read_module(text: str) -> str:
    if not _MODULE.fullmatch(text):
        raise ValidationError(
            f"{text!r} is not the name of a Python module such as acme.handlers; put commas between names."
        )
    return text


def check_listening_host(value: str) -> None:
    """An address or name to listen at; empty for every address."""
    if value and not is_host(f"[{value}]" if ":" in value else value):
        raise ValidationError(f"{value!r} is not an address of this machine, such as 127.0.0.1.")


def check_folder(value: str) -> None:
    if not value.strip():
        raise ValidationError("it is empty; name a folder, or unset it.")
    if _is_other_than_folder(Path(value)):
        raise ValidationError(f"{value} is not a folder; name a folder, or remove the file in its place.")


def check_file(value: str) -> None:
    if not value.strip():
        raise ValidationError("it is empty; name a file, or unset it.")


def check_readable_file(value: str) -> None:
    check_file(value)
    try:
        Path(value).read_bytes()
    except OSError as error:
        raise ValidationError(f"{value} cannot be read ({error.strerror}); name a file.") from None


def check_database_url(value: str) -> None:
    parts = _split(value)
    if value and (parts is None or parts.scheme not in ("postgres", "postgresql")):
        raise ValidationError("it must be an address such as postgresql://user:password@host:5432/database.")


def check_broker_url(value: str) -> None:
    parts = _split(value)
    if value and (parts is None or parts.scheme not in BROKER_SCHEMES):
        raise ValidationError(f"it must be an address that starts with one of {', '.join(BROKER_SCHEMES)} and ://.")


def check_public_url(value: str) -> None:
    parts = _split(value)
    if value and (parts is None or parts.scheme not in ("http", "https") or not is_host(_host_of(parts))):
        raise ValidationError("it must be an address such as https://jobs.example.com.")


def origin_of(url: str) -> str:
    """The origin (RFC 6454) of a public address that passed its check."""
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{_host_of(parts)}{port}"


def check_smtp_url(value: str) -> None:
    parts = _split(value)
    if value and (parts is None or parts.scheme not in SMTP_SCHEMES or not parts.port or not is_host(_host_of(parts))):
        raise ValidationError(
            f"it must be an address with a port, such as smtps://user:password@mail.example.com:465, that starts with "
            f"one of {', '.join(SMTP_SCHEMES)} and ://."
        )
    if parts and parts.scheme == "smtp" and parts.password and _host_of(parts) not in _LOOPBACK_HOSTS:
        raise ValidationError("a password goes over TLS only: use smtps:// or smtp+starttls://.")


def check_mail_address(value: str) -> None:
    if value and not _MAIL_ADDRESS.fullmatch(value):
        raise ValidationError("it must be an address such as jobs@example.com.")


def check_metrics_token(value: str) -> None:
    if value and (len(value) < 16 or not value.isascii() or not value.isprintable() or " " in value):
        raise ValidationError("it must be at least 16 printable ASCII characters without spaces.")


def is_host(text: str) -> bool:
    """Whether it is a host name, an IPv4 address, or an IPv6 address in brackets."""
    if text.startswith("[") and text.endswith("]"):
        try:
            return ipaddress.ip_address(text[1:-1]).version == 6
        except ValueError:
            return False
    return len(text) <= 253 and _HOST_NAME.fullmatch(text) is not None


def _is_other_than_folder(path: Path) -> bool:
    """Whether something else is there, or where one of its parents should be."""
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except NotADirectoryError:
        return True
    except OSError:
        return False  # Not there yet, or for whoever uses it to complain of.


def _number(expected: str, low: float, high: float) -> dict[str, Any]:
    sentence = f"'{{input:.100}}' is not {expected}."

    def check(value: float) -> None:
        # Written so that what is no number at all is outside, too.
        if not low <= value <= high:
            raise ValidationError(sentence.format(input=f"{value:g}" if isinstance(value, float) else str(value)))

    return {"validate": check, "error_messages": {"invalid": sentence, "too_large": sentence}}


def _split(url: str) -> SplitResult | None:
    """The parts of an address whose port is a number; None for what is no address."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _host_of(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host
