"""What was unwrapped is kept for so long and no longer, so many and no more."""

from __future__ import annotations

import pytest

from jobservice.crypto import kept_secrets
from jobservice.crypto.kept_secrets import KeptSecrets


class Clock:
    """Stands for the monotonic clock."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(kept_secrets, "time", made)
    return made


def test_a_secret_is_found_by_what_it_was_unwrapped_from_and_by_nothing_else(clock: Clock) -> None:
    kept = KeptSecrets(seconds=60)
    kept.keep(b"wrapped", b"binding", b"secret")
    assert kept.find(b"wrapped", b"binding") == b"secret"
    assert kept.find(b"wrapped", b"other") is None
    assert kept.find(b"other", b"binding") is None


def test_a_secret_is_kept_for_its_time_from_when_it_was_last_confirmed(clock: Clock) -> None:
    kept = KeptSecrets(seconds=60)
    kept.keep(b"w", b"b", b"s")
    clock.now += 40
    kept.keep(b"w", b"b", b"s")
    clock.now += 59
    assert kept.find(b"w", b"b") == b"s"
    assert kept.find(b"w", b"b", within_seconds=59) is None
    assert kept.has_any()
    clock.now += 1
    assert kept.find(b"w", b"b") is None
    assert not kept.has_any()
    assert len(kept) == 0


def test_of_too_many_those_go_that_were_confirmed_longest_ago(clock: Clock) -> None:
    kept = KeptSecrets(seconds=60, limit=2)
    kept.keep(b"1", b"", b"one")
    kept.keep(b"2", b"", b"two")
    kept.keep(b"1", b"", b"one")
    kept.keep(b"3", b"", b"three")
    assert [kept.find(name, b"") for name in (b"1", b"2", b"3")] == [b"one", None, b"three"]


def test_nothing_is_kept_when_it_may_be_kept_for_no_time(clock: Clock) -> None:
    kept = KeptSecrets(seconds=0)
    kept.keep(b"w", b"b", b"s")
    assert (kept.find(b"w", b"b"), len(kept)) == (None, 0)


def test_no_secret_is_in_what_is_printed_of_it(clock: Clock) -> None:
    kept = KeptSecrets(seconds=60)
    kept.keep(b"w", b"b", b"canary-secret")
    assert "canary" not in repr(kept._kept)
