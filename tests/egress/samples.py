"""Random addresses crowded at the edges of every special network, their IPv6 wrappings, and spellings of hosts."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Iterator, Sequence

from jobservice.egress.addresses import Address
from jobservice.env import Network
from tests.egress.registries import registered_networks

_LOW_32 = 0xFFFF_FFFF
# Addresses that matter by themselves, to be wrapped and to be neighboured.
_KNOWN = tuple(
    int(ipaddress.IPv4Address(text))
    for text in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "127.0.0.1", "8.8.8.8")
)
_NAT64_LOCAL = int(ipaddress.IPv6Address("64:ff9b:1::"))


def sample_addresses(source: random.Random, count: int) -> Iterator[Address]:
    """Half at or near an edge, a quarter IPv4 inside IPv6, a quarter anywhere."""
    v4 = [network for network in registered_networks() if network.version == 4]
    v6 = [network for network in registered_networks() if network.version == 6]
    for _ in range(count):
        kind = source.randrange(8)
        if kind < 2:
            yield ipaddress.IPv4Address(_near_edge(source, v4, 32))
        elif kind < 4:
            yield ipaddress.IPv6Address(_near_edge(source, v6, 128))
        elif kind < 6:
            yield ipaddress.IPv6Address(source.choice(_WRAPPINGS)(source, _any_v4(source, v4)))
        elif kind < 7:
            yield ipaddress.IPv4Address(source.getrandbits(32))
        else:
            yield ipaddress.IPv6Address(source.getrandbits(128) >> source.choice((0, 0, 2, 16, 32, 64, 80, 96)))


def _near_edge(source: random.Random, networks: Sequence[Network], bits: int) -> int:
    network = source.choice(networks)
    first, last = int(network.network_address), int(network.broadcast_address)
    step = source.choice((0, 0, 1, 2, 255, 256, source.getrandbits(16), source.getrandbits(bits)))
    point = source.choice((first - step, first + step, last - step, last + step, source.randint(first, last)))
    return point % (1 << bits)


def _any_v4(source: random.Random, networks: Sequence[Network]) -> int:
    kind = source.randrange(4)
    if kind == 0:
        return (source.choice(_KNOWN) + source.choice((0, 0, 0, 1, -1))) & _LOW_32
    return source.getrandbits(32) if kind == 1 else _near_edge(source, networks, 32)


def _anywhere(source: random.Random) -> int:
    """A prefix of 64 bits that is in public use, so that nothing but its tail can be special."""
    return (0x2400 << 112) | (source.getrandbits(48) << 64)


def _teredo(source: random.Random, server: int, client: int) -> int:
    return (0x2001_0000 << 96) | (server << 64) | (source.getrandbits(32) << 32) | (client ^ _LOW_32)


# RFC 4291 (mapped, compatible), RFC 2765 (SIIT), RFC 6052 (NAT64), RFC 8215 (its local prefix, where the address may
# stand in several places), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP).
_WRAPPINGS: tuple[Callable[[random.Random, int], int], ...] = (
    lambda _, inner: (0xFFFF << 32) | inner,
    lambda _, inner: inner,
    lambda _, inner: (0xFFFF << 48) | inner,
    lambda _, inner: (0x64_FF9B << 96) | inner,
    lambda _, inner: _NAT64_LOCAL | inner,
    lambda source, inner: _NAT64_LOCAL | ((inner >> 16) << 64) | ((inner & 0xFFFF) << 40) | source.getrandbits(16),
    lambda source, inner: (0x2002 << 112) | (inner << 80) | source.getrandbits(80),
    lambda source, inner: _teredo(source, inner, 0x0808_0808),
    lambda source, inner: _teredo(source, 0x0808_0808, inner),
    lambda source, inner: _anywhere(source) | (0x0000_5EFE << 32) | inner,
    lambda source, inner: _anywhere(source) | (0x0200_5EFE << 32) | inner,
    lambda _, inner: (0xFE80 << 112) | (0x0000_5EFE << 32) | inner,
)


def sample_urls(source: random.Random, count: int) -> Iterator[str]:
    """URLs whose host is an address or a name in some spelling, with what confuses parsers around it."""
    v4 = [network for network in registered_networks() if network.version == 4]
    for _ in range(count):
        host = source.choice(_SPELLINGS)(source, _any_v4(source, v4))
        yield source.choice(_FRAMES).replace("HOST", host)


def _octets(inner: int) -> list[int]:
    return list(inner.to_bytes(4, "big"))


def _dotted(inner: int) -> str:
    return str(ipaddress.IPv4Address(inner))


def _mixed(source: random.Random, inner: int) -> str:
    """One to four parts, each decimal, octal or hexadecimal: whatever inet_aton would read as the address."""
    octets = _octets(inner)
    whole = source.randrange(4)
    parts = [*octets[:whole], int.from_bytes(bytes(octets[whole:]), "big")]
    forms: tuple[Callable[[int], str], ...] = (str, "0x{:x}".format, "0{:o}".format, "0X{:X}".format, "0x00{:x}".format)
    return ".".join(source.choice(forms)(part) for part in parts)


def _other_digits(source: random.Random, inner: int) -> str:
    start = source.choice((0xFF10, 0x1D7CE, 0x1D7EC, 0x0660, 0x0966))
    digits = {ord(str(digit)): chr(start + digit) for digit in range(10)}
    return _dotted(inner).translate(digits)


def _other_dots(source: random.Random, inner: int) -> str:
    return _dotted(inner).replace(".", source.choice("\u3002\uff0e\uff61\u2024"))


def _percent(source: random.Random, inner: int) -> str:
    return "".join(f"%{ord(one):02x}" if source.random() < 0.4 else one for one in _dotted(inner))


def _bracketed(source: random.Random, inner: int) -> str:
    wrapped = ipaddress.IPv6Address(source.choice(_WRAPPINGS)(source, inner))
    return f"[{source.choice((wrapped.compressed, wrapped.exploded, wrapped.compressed.upper()))}]"


_NAMES = (
    *("example.com", "EXAMPLE.com.", "faß.de", "xn--fa-hia.de", "例え.jp", "ⓔxample.com", "localhost", "a.localhost"),
    *("printer.local", "metadata.google.internal", "1.0.0.127.in-addr.arpa", "redis", "-a.com", "a-.com", "a..com"),
    *("a" * 64 + ".com", "xn--.com", "exa\u00admple.com", "exam\u200bple.com", "example.com:443", "ex_ample.com"),
)
_SPELLINGS: tuple[Callable[[random.Random, int], str], ...] = (
    lambda _, inner: _dotted(inner),
    lambda _, inner: _dotted(inner) + ".",
    lambda _, inner: str(inner),
    _mixed,
    _mixed,
    _other_digits,
    _other_dots,
    _percent,
    _bracketed,
    lambda source, inner: _bracketed(source, inner).replace("]", source.choice(("%25lo]", "%eth0]", "%1]", "%]"))),
    lambda source, inner: source.choice(("%s.nip.io", "a.%s", "%s.example.com", "0.%s", "%s.0")) % _dotted(inner),
    lambda source, _: source.choice(_NAMES),
)
_FRAMES = (
    *("https://HOST/", "https://HOST", "https://HOST:443/", "https://HOST:8443/x?y=z", "http://HOST/"),
    *("https://user@HOST/", "https://user:word@HOST/", "https://@HOST/", "https://example.com@HOST/"),
    *("https://example.com:443@HOST/", "https://HOST@example.com/", "https://example.com\\@HOST/", "https:\\\\HOST/"),
    *("https://HOST\\x", "https:HOST/", "https:/HOST/", "https:///HOST/", "//HOST/", "ftp://HOST/", "hTTps://HOST/"),
    *(
        "https://\tHOST/",
        "https://HOST\t/",
        "\thttps://HOST/",
        "https://HOST/\n",
        "https://HOST\r\n/",
        " https://HOST/",
    ),
    *("https://HOST\x00/", "https://HOST\x00.example.com/", "https://HOST#@example.com/", "https://HOST?@example.com/"),
    *(
        "https://HOST:/",
        "https://HOST:0/",
        "https://HOST:99999/",
        "https://HOST:-1/",
        "https://HOST:\uff14\uff14\uff13/",
    ),
    *("https://HOST/#x", "https://[HOST]/", "https://HOST HOST/", "https://HOST,example.com/", "https://HOST%00/"),
)
