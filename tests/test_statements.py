"""How the named parameters of a statement are numbered for the server, which text a process runs, and two at once."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from django.apps import apps
from django.db import DataError, transaction

from jobservice.statements import keep_statements, number_parameters, read_statement, run_together
from tenants.models import Tenant as TenantRow


def test_a_parameter_named_twice_is_one_and_a_doubled_percent_sign_is_one() -> None:
    numbered = number_parameters("SELECT %(b)s::text[], 5 %% 3, %(a)s WHERE x = ANY (%(b)s)")
    assert numbered == (b"SELECT $1::text[], 5 % 3, $2 WHERE x = ANY ($1)", ["b", "a"])


def test_a_process_goes_on_with_the_text_that_it_was_started_with(tmp_path: Path) -> None:
    file = tmp_path / "end_jobs.sql"
    file.write_text("SELECT %(old)s")
    keep_statements(tmp_path)
    file.write_text("SELECT %(old)s, %(new)s")
    assert read_statement(file) == "SELECT %(old)s"


@pytest.mark.parametrize("label", ["tenants", "webhooks", "jobs"])
def test_no_statement_is_read_after_the_start(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> NoReturn:
        raise AssertionError(f"{path.name} is read when it is first run, and may be a newer one by then")

    files = sorted((Path(apps.get_app_config(label).path).resolve() / "sql").glob("*.sql"))
    assert len(files) > 10
    monkeypatch.setattr(Path, "read_text", refuse)
    for file in files:
        read_statement(file)


@pytest.mark.django_db
def test_of_statements_that_are_sent_together_none_follows_one_that_failed(tmp_path: Path) -> None:
    fail = statement(tmp_path / "fail.sql", "SELECT 1 / %(divisor)s::int AS quotient")
    insert = statement(tmp_path / "insert.sql", "INSERT INTO tenant (id, name) VALUES (gen_random_uuid(), 'late')")
    with pytest.raises(DataError, match="division by zero"), transaction.atomic():
        run_together([(fail, {"divisor": 0}), (insert, {})])
    assert not TenantRow.objects.filter(name="late").exists()
    assert run_together([(fail, {"divisor": 1}), (insert, {})]) == [[(1,)], []]
    assert TenantRow.objects.filter(name="late").exists()


def statement(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
