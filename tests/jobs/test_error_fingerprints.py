"""Fingerprints of errors: what varies from run to run does not tell errors apart, what is wrong does."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobservice.ids import new_id
from jobservice.jobs.error_fingerprints import MOST_CHARACTERS, fingerprint_code, fingerprint_message, normalize_message

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
SAME = [
    ("Order 42 is gone", "Order 4711 is gone"),
    ("took 1.5 s of 3", "took 22.25 s of 30"),
    ("KeyError: 'alice'", "KeyError: 'bob'"),
    ('no "report of May" here', 'no "report of June" here'),
    ("no file /var/data/17/a.csv", "no file /srv/files/b.csv"),
    ("no file C:\\data\\a.csv", "no file D:\\other\\folder\\b.csv"),
    ("GET https://a.example/x?y=1 failed", "GET http://b.example/ failed"),
    ("mail to ann@shop.example bounced", "mail to bob.b@mail.shop.example bounced"),
    ("connect to 10.0.0.1:5432 refused", "connect to 192.168.7.8:5433 refused"),
    ("connect to [2001:db8::1]:80 refused", "connect to [::1]:8080 refused"),
    ("connect to 2001:db8:1:2::5 refused", "connect to fe80:0:0:1:2:3:4:5 refused"),
    (
        "job 0191d7a0-7cc0-7000-8000-0123456789ab failed",
        "job 0191d7a0-7cc0-7000-9000-ba9876543210 failed",
    ),
    ("job_01kvq4wgzme5vsknk084sn02q8 is late", "job_01kvq4wgzme5vsknk084sn02q9 is late"),
    ("at 2027-01-31T12:00:00Z it broke", "at 2027-02-01 09:30:01.5+02:00 it broke"),
    ("<Thing object at 0x7f3a2b>", "<Thing object at 0x8e4c11>"),
    ("commit 9fceb02d0ae598e95dc970b74767f19372d61af8", "commit da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ("token abcDEF123-abcDEF123-xyz refused", "token ZZZabc987-ZZZabc987-qrs refused"),
    ("spread  over\n two lines", "spread over two lines"),
]
DIFFERENT = [
    ("Order 42 is gone", "Order 42 is late"),
    ("ValueError: no", "KeyError: no"),
    ("couldn't connect, won't retry", "couldn't read, won't retry"),
    ("connection refused", "connection reset"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_varies_is_left_out(one: str, other: str) -> None:
    assert normalize_message(one) == normalize_message(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_is_wrong_is_kept(one: str, other: str) -> None:
    assert normalize_message(one) != normalize_message(other)


@given(st.text(max_size=600), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_number_in_any_text_does_not_matter(text: str, one: int, other: int) -> None:
    assert normalize_message(f"{text} {one} left") == normalize_message(f"{text} {other} left")


@given(st.text(max_size=5000))
def test_any_text_has_a_bounded_normal_form(text: str) -> None:
    assert len(normalize_message(text)) <= MOST_CHARACTERS


@pytest.mark.parametrize("hostile", ["a.", "1:", "a@", "'", "\\/", "0x", "a-", "é", "http:", "[", "1.", "aa:", "_0"])
def test_no_text_takes_long(hostile: str) -> None:
    began = time.process_time()
    normalize_message(hostile * 5000)
    assert time.process_time() - began < 0.5


def test_type_code_and_key_tell_errors_apart() -> None:
    base = fingerprint_message(KEY, type_="a", code="x", message="no")
    assert fingerprint_message(KEY, type_="a", code="x", message="no") == base
    others = {
        fingerprint_message(OTHER_KEY, type_="a", code="x", message="no"),
        fingerprint_message(KEY, type_="b", code="x", message="no"),
        fingerprint_message(KEY, type_="a", code="y", message="no"),
        fingerprint_message(KEY, type_="ax", code="", message="no"),
    }
    assert len(others | {base}) == 5


def test_an_error_without_a_text_is_of_its_tenant_type_and_code() -> None:
    one, other = new_id(), new_id()
    base = fingerprint_code(one, type_="a", code="crashed")
    assert fingerprint_code(one, type_="a", code="crashed") == base
    assert base.version == 8
    others = {
        fingerprint_code(other, type_="a", code="crashed"),
        fingerprint_code(one, type_="b", code="crashed"),
        fingerprint_code(one, type_="a", code="timed-out"),
    }
    assert len(others | {base}) == 4
