"""The guard against guessing: so many tries for each account, and from each network, however many come at once.

A login is one try, counted at its first step, a right one too: a success gives an attacker's network nothing back, and
the second factor of a right password, or a passkey for a challenge that was counted, takes no other try of the network.
Whoever is refused tries again later; there is no lock that somebody else could close for good. When the count cannot be
taken, nobody gets in.

Three counts, each taken only when the one before it had room, so that who is refused uses up nothing of anybody's:
- of the network, /24 of IPv4 and /64 of IPv6: 60, then three a minute, an office of people behind one address.
- of an account from one place, /24 and /48, what one customer of a provider commands: 10 passwords, then one in three
  minutes. So one place keeps nobody out who comes from another.
- of the account from everywhere: 100 passwords, then one a minute. Ten places at once, and three from then on, keep its
  owner from logging in by password; fewer would let one stranger do so, and more would let a botnet guess: these are
  1,440 guesses a day at passwords of which none is a common one.
A code has six digits, and whoever tries one knows the password: 6, then one in ten minutes, from everywhere. Whoever
holds a session of the account is counted apart from all strangers, with the numbers of one place.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from jobservice.client_address import Address
from jobservice.errors import Invalid, TooManyTries
from jobservice.logs import log_event
from jobservice.statements import run_statement
from tenants.login_key import name_under_key
from tenants.members import EMAIL_LIMIT, normalise_email

_SQL = Path(__file__).resolve().parent / "sql"
_NETWORK_PREFIX = {4: 24, 6: 64}
_PLACE_PREFIX = {4: 24, 6: 48}
# One try in so many removes what binds nobody any more: more of it than so many tries add, and never much at once.
TRIM_EVERY = 100
_TRIMMED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Bound:
    """At most `tries` at once; each comes back after `seconds`."""

    tries: int
    seconds: float


PASSWORD, CODE, RESET = "password", "code", "reset"
OF_ACCOUNT: Mapping[str, Bound] = {PASSWORD: Bound(100, 60), CODE: Bound(6, 600), RESET: Bound(3, 1200)}
OF_PAIR: Mapping[str, Bound] = {PASSWORD: Bound(10, 180)}
OF_HELD: Mapping[str, Bound] = {PASSWORD: Bound(10, 180), CODE: Bound(6, 600)}
OF_NETWORK = Bound(60, 20)


def take_try(kind: str, *, account: str | None, address: Address | None) -> None:
    """Count a try of a stranger. `account` is what names it, whether or not there is such a one: see `account_name`.

    Raises `TooManyTries` when the network or the account has none left.
    """
    _take(kind, "network", _network(address, _NETWORK_PREFIX), OF_NETWORK)
    _trim_now_and_then()
    if account is None:
        return
    if kind in OF_PAIR:
        _take(kind, f"{kind} from", f"{_network(address, _PLACE_PREFIX)}\x00{account}", OF_PAIR[kind])
    _take(kind, kind, account, OF_ACCOUNT[kind])


def take_second_step(account_id: UUID) -> None:
    """Count a try at the second factor of a login whose network was counted with the password. Raises as above."""
    _take(CODE, CODE, str(account_id), OF_ACCOUNT[CODE])


def take_held_try(kind: str, account_id: UUID) -> None:
    """Count a try of whoever holds a session of the account. Raises as above."""
    _take(kind, f"held {kind}", str(account_id), OF_HELD[kind])


def account_name(email: str) -> str:
    """What names the account of an address, however it is written; of what is no address, its own text."""
    try:
        return normalise_email(email)
    except Invalid:
        return email.strip()[:EMAIL_LIMIT].lower()


def forget_old_tries() -> None:
    """Remove some of the counts that bind nobody any more."""
    run_statement(_SQL / "forget_login_tries.sql", {"most": _TRIMMED_AT_ONCE})


def _take(kind: str, label: str, name: str, bound: Bound) -> None:
    parameters = {
        "key": name_under_key(label, name),
        "seconds": float(bound.seconds),
        "whole": float(bound.tries * bound.seconds),
    }
    if not run_statement(_SQL / "take_login_try.sql", parameters):
        log_event("login_throttled", level="warning", kind=kind)
        sentence = "There were too many tries. Wait some minutes, and try again."
        raise TooManyTries(sentence, retry_seconds=int(bound.seconds))


def _trim_now_and_then() -> None:
    if random.randrange(TRIM_EVERY) == 0:  # noqa: S311 (spreads, and keeps no secret)  # nosec B311
        forget_old_tries()


def _network(address: Address | None, prefixes: Mapping[int, int]) -> str:
    if address is None:
        return "unknown"
    return str(ipaddress.ip_network((address, prefixes[address.version]), strict=False))
