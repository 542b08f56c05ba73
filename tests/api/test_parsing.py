"""What a body may hold is counted in its text, and what stands in its texts does not count."""

from __future__ import annotations

import time

import pytest

from api.parsing import parse_json
from api.problems import ApiProblem
from jobservice.strict_json import MAX_DEPTH, MAX_PARTS


def test_a_million_objects_and_arrays_are_read_and_one_more_is_refused() -> None:
    most = b"[" + b",".join([b"[]"] * (MAX_PARTS - 1)) + b"]"
    assert parse_json(most) == [[]] * (MAX_PARTS - 1)
    with pytest.raises(ApiProblem, match="more than 1,000,000 objects and arrays"):
        parse_json(most[:-1] + b",{}]")


@pytest.mark.parametrize(
    "text", ["[" * MAX_PARTS, '\\"[' * MAX_PARTS, "\\\\"], ids=["brackets", "quotes", "a backslash"]
)
def test_brackets_in_texts_are_no_objects(text: str) -> None:
    body = f'["{text}", {{"{text[:30]}": 1}}, "{"]" * MAX_PARTS}"]'.encode()
    assert isinstance(parse_json(body), list)


@pytest.mark.parametrize("start", [b'"', b'"\\', b'["[', b'{"\\"'])
def test_a_text_without_an_end_is_looked_through_once(start: bytes) -> None:
    begun = time.process_time()
    for part in (b'\\"[', b'[\\"', b"[\\\\", b"["):
        with pytest.raises(ApiProblem):
            parse_json(start + part * (2 * MAX_PARTS) + b"\\")
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("is_allowed", [True, False])
def test_depth_is_of_brackets_outside_of_texts(is_allowed: bool) -> None:
    deep = MAX_DEPTH if is_allowed else MAX_DEPTH + 1
    body = b'["[[[[{{{\\"[[", ' + b"[" * (deep - 1) + b'"]]]"' + b"]" * (deep - 1) + b"]"
    if is_allowed:
        assert isinstance(parse_json(body), list)
    else:
        with pytest.raises(ApiProblem, match="nested more than 100 deep"):
            parse_json(body)


@pytest.mark.parametrize("number", [b"1e400", b"-1E+309", b"0.1e310", b"9" * 309 + b".5", b"1" + b"0" * 400 + b".0"])
def test_a_fraction_beyond_all_doubles_is_refused_however_it_is_written(number: bytes) -> None:
    with pytest.raises(ApiProblem, match="A number is too large"):
        parse_json(b'{"a": [0.5, ' + number + b"]}")


def test_other_fractions_are_read_as_they_are() -> None:
    assert parse_json(b'["1e999", 0.5, -12.25, 1e3, 1.5E-3]') == ["1e999", 0.5, -12.25, 1000.0, 0.0015]
    assert parse_json(b"[0.25, -3.5]") == [0.25, -3.5]
