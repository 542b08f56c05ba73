"""`manage.py doctor` on a real database with real logins: its lines, JSON and exit codes, and that it only reads."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command

from jobservice.env import ConfigurationError
from jobservice.jobs.fleet import VERSION
from tests.workers.prepared import PreparedDatabase, new_database
from workers.doctor import reader as reader_module
from workers.doctor.examination import CHECKS, examine
from workers.doctor.finding import Finding, ok, problem, show_age, show_count, warning
from workers.doctor.reader import CannotRead, RoleReader
from workers.doctor.report import decide_exit_status, show_text
from workers.supervisor.embedded_valkey import EmbeddedValkey
from workers.supervisor.folders import make_runtime_folder, remove_runtime_folder

pytestmark = pytest.mark.deep


@pytest.fixture(scope="module")
def broker_url() -> Iterator[str]:
    folder = make_runtime_folder()
    valkey = EmbeddedValkey(folder / "mq")
    with subprocess.Popen(valkey.command(), stdout=subprocess.DEVNULL) as server:
        try:
            while not valkey.is_ready():
                assert server.poll() is None
            yield valkey.url
        finally:
            server.kill()
    remove_runtime_folder(folder)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreparedDatabase]:
    with new_database(tmp_path_factory.mktemp("prepared")) as database:
        made = database.command("prepare")
        assert made.returncode == 0, made.stderr
        yield database


@dataclass
class Service:
    """The prepared database with stand-ins for a dispatcher and three workers."""

    urls: dict[str, str]
    dispatcher: psycopg.Connection

    def write(self, statement: str) -> None:
        with psycopg.connect(self.urls["worker"], autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def service(prepared: PreparedDatabase, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    urls = prepared.urls
    environment = replace(
        settings.ENVIRONMENT, database_urls=urls, broker_url=broker_url, data_dir=prepared.data_dir, process="owner"
    )
    monkeypatch.setattr(settings, "ENVIRONMENT", environment)
    # What is well stays so on a slow machine too.
    monkeypatch.setattr("workers.doctor.reader.CONNECT_SECONDS", 600)
    monkeypatch.setattr("workers.doctor.reader.STATEMENT_SECONDS", 600.0)
    monkeypatch.setattr("workers.doctor.fleet.DISPATCHER_SILENT_SECONDS", 600.0)
    name = "jobservice dispatcher"
    with psycopg.connect(urls["dispatcher"], autocommit=True, application_name=name) as dispatcher:
        dispatcher.execute("SELECT 1")
        service = Service(urls, dispatcher)
        for pool in ("handlers", "egress", "deliveries"):
            service.write(
                "INSERT INTO worker (id, pool, host, pid, version, slots) "
                f"VALUES (gen_random_uuid(), '{pool}', 'here', 1, '{VERSION}', 2)"
            )
        yield service
        service.write("DELETE FROM worker")


def examine_all() -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code and findings of `doctor --json`."""
    output, status = StringIO(), 0
    try:
        call_command("doctor", "--json", stdout=output)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, {finding.pop("name"): finding for finding in json.loads(output.getvalue())}


def faults(findings: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, finding in findings.items() if finding["status"] != "ok"} - {"durability"}


def test_a_sound_service_is_well_in_every_point_but_the_tests_own_disk(service: Service) -> None:
    status, findings = examine_all()
    assert list(findings) == list(CHECKS)
    unwell = {name: finding for name, finding in findings.items() if finding["status"] != "ok"}
    # A throw-away server writes nothing to disk, and doctor says so; one that is installed may.
    durability = unwell.pop("durability", None)
    assert (unwell, status) == ({}, 0 if durability is None else 1)
    assert durability is None or "fsync" in durability["detail"]
    assert all(set(finding) == {"status", "detail", "fix"} for finding in findings.values())


def test_text_has_one_line_per_check_and_no_password(service: Service) -> None:
    output = StringIO()
    with suppress(SystemExit):
        call_command("doctor", stdout=output)
    lines = output.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == list(CHECKS)
    assert {line.split()[0] for line in lines} <= {"ok", "warning", "problem"}
    assert not [url for url in service.urls.values() if url.split("@")[0].rpartition(":")[2] in output.getvalue()]


def test_what_is_found_is_kept_only_when_that_is_wanted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    told: list[str] = []

    def look(reader: RoleReader) -> Any:
        told.append("examined")
        return examine(reader)

    def read_clock() -> str:
        told.append("clock read")
        return "then"

    def keep(findings: list[Any], *, begun_at: str) -> None:
        kept.append(findings)
        told.append(f"kept as of {begun_at}")

    command = "workers.management.commands.doctor"
    for name, own in (("examine", look), ("read_clock", read_clock), ("keep_findings", keep)):
        monkeypatch.setattr(f"{command}.{name}", own)
    examine_all()
    assert kept == []
    output = StringIO()
    with suppress(SystemExit):
        call_command("doctor", "--json", "--keep", stdout=output)
    assert kept == [json.loads(output.getvalue())]
    # Wishes from after the begin stand.
    assert told == ["examined", "clock read", "examined", "kept as of then"]


def test_missing_processes_are_named(service: Service) -> None:
    service.dispatcher.close()
    service.write("UPDATE worker SET seen_at = clock_timestamp() - interval '1 minute' WHERE pool = 'handlers'")
    service.write("UPDATE worker SET is_draining = true WHERE pool = 'egress'")
    findings = examine_all()[1]
    assert faults(findings) == {"dispatcher", "workers"}
    assert findings["workers"]["detail"].startswith("Pool handlers and egress has no worker")
    assert findings["workers"]["fix"] == "Start `manage.py worker egress` and `manage.py worker handlers`."


def test_a_dispatcher_that_hangs_is_told_from_none(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.doctor.fleet.DISPATCHER_SILENT_SECONDS", 0.0)
    assert "is connected, but has asked nothing" in examine_all()[1]["dispatcher"]["detail"]


def test_workers_of_another_version_are_a_warning(service: Service) -> None:
    service.write("UPDATE worker SET version = '9.9.9' WHERE pool = 'egress'")
    finding = examine_all()[1]["workers"]
    assert (finding["status"], "9.9.9" in finding["detail"]) == ("warning", True)


@pytest.mark.parametrize("broker", ["", "redis://:secret@127.0.0.1:1/0"])
def test_a_broker_that_is_away_or_unknown_is_found(
    service: Service, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, broker_url=broker))
    finding = examine_all()[1]["broker"]
    assert finding["status"] == "problem"
    assert "secret" not in str(finding)


def test_a_role_that_cannot_log_in_is_a_problem_of_every_check_that_needs_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = {**service.urls, "worker": service.urls["worker"].replace("_worker:", "_nobody:"), "dispatcher": ""}
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, database_urls=urls))
    status, findings = examine_all()
    assert status == 1
    assert "the worker's login does not work" in findings["roles"]["detail"]
    assert "the dispatcher's address is not known here" in findings["roles"]["detail"]
    assert findings["leases"] == {
        "status": "problem",
        "detail": "Not looked at: the dispatcher's address is not known here.",
        "fix": "See what `roles` says.",
    }


def test_an_old_transaction_of_any_role_is_found(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.doctor.server.TRANSACTION_NOTED_SECONDS", 0.0)
    for role in ("owner", "web", "worker", "dispatcher"):
        with psycopg.connect(service.urls[role]) as connection:
            connection.execute("SELECT 1")
            finding = examine_all()[1]["oldest-transaction"]
            assert (finding["status"], f"_{role}) is" in finding["detail"]) == ("warning", True)


def test_without_an_address_or_an_answer_it_cannot_look(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, sentence in (
        ("", "DATABASE_URL is not set"),
        ("postgresql://u:secret@127.0.0.1:1/d", "cannot be reached"),
    ):
        urls = {**service.urls, "owner": url}
        monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, database_urls=urls))
        with pytest.raises(ConfigurationError, match=sentence) as refused:
            call_command("doctor")
        assert "secret" not in str(refused.value)


def test_the_command_line_ends_with_2_when_it_cannot_look(prepared: PreparedDatabase) -> None:
    refused = prepared.command("doctor", "--json", DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("role", ["owner", "web", "worker", "dispatcher"])
def test_its_reads_cannot_write(service: Service, role: str) -> None:
    with RoleReader(service.urls) as reader:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.read(role, "CREATE TEMPORARY SEQUENCE planted; SELECT 1 AS one")
        assert reader.read(role, "SELECT 1 AS one")[0].one == 1, "the connection is good for the next check"


def test_a_read_is_bounded_in_time_and_its_check_says_so(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "STATEMENT_SECONDS", 0.05)

    def check(reader: Any) -> Finding:
        reader.read("owner", "SELECT pg_sleep(20)")
        return ok("never")

    with RoleReader(service.urls) as reader:
        assert examine(reader, {"slow": check})["slow"].status == "warning"


def test_a_check_over_a_schema_that_is_not_there_is_a_problem(service: Service) -> None:
    def check(reader: Any) -> Finding:
        reader.read("owner", "SELECT * FROM not_migrated")
        return ok("never")

    with RoleReader(service.urls) as reader:
        finding = examine(reader, {"behind": check})["behind"]
    assert (finding.status, finding.detail) == ("problem", "Cannot be looked at (UndefinedTable).")


def test_an_unknown_role_is_refused_each_time() -> None:
    with RoleReader({}) as reader:
        for _ in range(2):
            with pytest.raises(CannotRead, match="the web's address is not known here"):
                reader.read("web", "SELECT 1")


def test_only_a_problem_is_an_exit_code() -> None:
    well, odd, bad = ok("Fine."), warning("Slow.", fix="Wait."), problem("Broken.", fix="Mend it.")
    assert decide_exit_status({"a": well, "b": odd}) == 0
    assert decide_exit_status({"a": well, "b": bad}) == 1
    assert show_text({"a": well, "bb": bad}) == "ok       a   Fine.\nproblem  bb  Broken. Mend it."


@pytest.mark.parametrize(("seconds", "shown"), [(5, "5 s"), (600, "10 min"), (86_400, "24 h"), (864_000, "10 d")])
def test_ages_are_short(seconds: float, shown: str) -> None:
    assert show_age(seconds) == shown


def test_counts_have_their_nouns() -> None:
    assert show_count(1, "job") == "1 job"
    assert show_count(2, "job") == "2 jobs"
    assert show_count(2, "delivery", plural="deliveries") == "2 deliveries"
