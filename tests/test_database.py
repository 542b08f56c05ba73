"""How the address of a database becomes a connection."""

from __future__ import annotations

from django.db import connection

from jobservice.database import parse_database_url

NOTICED_WITHIN_SECONDS = 30


def test_a_server_that_vanishes_without_a_word_is_given_up_within_a_lease() -> None:
    used = connection.get_connection_params()
    silence = int(used["keepalives_idle"]) + int(used["keepalives_interval"]) * int(used["keepalives_count"])
    assert silence < NOTICED_WITHIN_SECONDS
    assert int(used["tcp_user_timeout"]) < NOTICED_WITHIN_SECONDS * 1000


def test_the_address_has_the_last_word() -> None:
    options = parse_database_url("postgresql://u:p@db.example/app?keepalives_idle=60&sslmode=require")["OPTIONS"]
    assert (options["keepalives_idle"], options["sslmode"], options["keepalives_count"]) == ("60", "require", "3")
