"""How the named parameters of a statement are numbered for the server."""

from jobservice.statements import number_parameters


def test_a_parameter_named_twice_is_one_and_a_doubled_percent_sign_is_one() -> None:
    numbered = number_parameters("SELECT %(b)s::text[], 5 %% 3, %(a)s WHERE x = ANY (%(b)s)")
    assert numbered == (b"SELECT $1::text[], 5 % 3, $2 WHERE x = ANY ($1)", ["b", "a"])
