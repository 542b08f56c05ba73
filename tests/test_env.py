"""Each variable that is wrong is one sentence: its name, what its value is not, and what is expected."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobservice import env
from jobservice.env_checks import origin_of

ROOT = Path(__file__).parents[1]
SECRET = "s3cr3t-of-a-test"

# Of each variable some wrong values and the whole sentence, which starts with the variable's name.
SMTP_SENTENCE = (
    "it must be an address with a port, such as smtps://user:password@mail.example.com:465, that starts with one of "
    "smtps, smtp+starttls, smtp and ://."
)
WRONG = [
    ("JOBSERVICE_PROCESS", "boss", "'boss' is none of owner, web, worker, dispatcher."),
    ("JOBSERVICE_DATA_DIR", "", "it is empty; name a folder, or unset it."),
    ("JOBSERVICE_DATA_DIR", "{file}", "{file} is not a folder; name a folder, or remove the file in its place."),
    ("JOBSERVICE_DATA_DIR", "{file}/x", "{file}/x is not a folder; name a folder, or remove the file in its place."),
    ("JOBSERVICE_ROOT_KEY_FILE", " ", "it is empty; name a file, or unset it."),
    ("JOBSERVICE_MESSAGE_KEY_FILE", "", "it is empty; name a file, or unset it."),
    (
        "JOBSERVICE_ALLOWED_HOSTS",
        "a b, example.com",
        "'a b' is not a host name such as jobs.example.com, without scheme or port; put commas between names.",
    ),
    (
        "JOBSERVICE_ALLOWED_HOSTS",
        "a.com:80",
        "'a.com:80' is not a host name such as jobs.example.com, without scheme or port; put commas between names.",
    ),
    ("JOBSERVICE_ALLOWED_HOSTS", "", "it is empty; name at least 1, or unset it."),
    ("JOBSERVICE_PUBLIC_URL", "jobs.example.com", "it must be an address such as https://jobs.example.com."),
    ("JOBSERVICE_PUBLIC_URL", "https://a b", "it must be an address such as https://jobs.example.com."),
    ("JOBSERVICE_PUBLIC_URL", "http://[", "it must be an address such as https://jobs.example.com."),
    ("JOBSERVICE_EGRESS_ALLOW", "10.0.0.0/8,foo", "'foo' is not a network such as 10.0.0.0/8."),
    (
        "JOBSERVICE_TRUSTED_PROXIES",
        "one,two",
        "'one' is not a network such as 10.0.0.0/8. 'two' is not a network such as 10.0.0.0/8.",
    ),
    ("JOBSERVICE_EGRESS_PORTS", "443, 70000", "'70000' is not a port between 1 and 65535."),
    ("JOBSERVICE_EGRESS_PORTS", "https", "'https' is not a port between 1 and 65535."),
    ("JOBSERVICE_EGRESS_SCHEMES", "https,ftp", "'ftp' is neither http nor https."),
    ("JOBSERVICE_HOST", "http://0.0.0.0", "'http://0.0.0.0' is not an address of this machine, such as 127.0.0.1."),
    ("PORT", "x", "'x' is not a whole number between 1 and 65535."),
    ("PORT", "0", "'0' is not a whole number between 1 and 65535."),
    ("PORT", "", "'' is not a whole number between 1 and 65535."),
    ("JOBSERVICE_WEB_WORKERS", "65", "'65' is not a whole number between 1 and 64."),
    ("JOBSERVICE_WEB_THREADS", "1.5", "'1.5' is not a whole number between 1 and 256."),
    ("JOBSERVICE_HANDLER_PROCESSES", "all", "'all' is not a whole number between 1 and 256."),
    ("JOBSERVICE_EGRESS_SLOTS", "-1", "'-1' is not a whole number between 1 and 5000."),
    (
        "JOBSERVICE_HANDLERS",
        "acme.handlers, acme/more.py",
        "'acme/more.py' is not the name of a Python module such as acme.handlers; put commas between names.",
    ),
    ("JOBSERVICE_PREPARED_STATEMENTS", "no", "'no' is none of on, off."),
    ("JOBSERVICE_LEASE_SECONDS", "0.5", "'0.5' is not a number of seconds between 1 and 3600."),
    ("JOBSERVICE_LEASE_SECONDS", "nan", "'nan' is not a number of seconds between 1 and 3600."),
    ("JOBSERVICE_STOP_GRACE_SECONDS", "soon", "'soon' is not a number of seconds between 0 and 3600."),
    ("JOBSERVICE_RESTART_BACKOFF_SECONDS", "-1", "'-1' is not a number of seconds between 0 and 3600."),
    (
        "JOBSERVICE_CRASH_POINTS_DIR",
        "{file}",
        "{file} is not a folder; name a folder, or remove the file in its place.",
    ),
    ("JOBSERVICE_DEV_INBOX", "yes", "'yes' is none of on, off."),
    ("JOBSERVICE_DEMO", "no", "'no' is none of on, off."),
    ("JOBSERVICE_LISTEN_FD", "2", "'2' is not a whole number between 3 and 1000000."),
    ("JOBSERVICE_LOG_FORMAT", "xml", "'xml' is none of console, json."),
    ("JOBSERVICE_LOG_LEVEL", "info", "'info' is none of DEBUG, INFO, WARNING, ERROR."),
    ("JOBSERVICE_METRICS_DIR", "{file}", "{file} is not a folder; name a folder, or remove the file in its place."),
    ("JOBSERVICE_METRICS_TOKEN", "short", "it must be at least 16 printable ASCII characters without spaces."),
    ("JOBSERVICE_METRICS_HOST", "a b", "'a b' is not an address of this machine, such as 127.0.0.1."),
    ("JOBSERVICE_METRICS_PORT", "65536", "'65536' is not a whole number between 1 and 65535."),
    *[
        (variable, value, "it must be an address such as postgresql://user:password@host:5432/database.")
        for variable in env.DATABASE_URLS.values()
        for value in (f"mysql://u:{SECRET}@host/db", f"postgresql://u:{SECRET}@host:port/db")
    ],
    (
        "BROKER_URL",
        f"http://u:{SECRET}@host",
        "it must be an address that starts with one of amqp, amqps, pyamqp, redis, rediss, redis+socket and ://.",
    ),
    ("JOBSERVICE_ROOT_KEY_PROVIDER", "kms", "'kms' is none of file, environment, vault."),
    *[
        (
            "JOBSERVICE_ROOT_KEYS",
            value,
            "it must be 1: and 64 hexadecimal digits; put a comma before 2: and those of the next.",
        )
        for value in (SECRET, f"0:{'0' * 64}", f"1:{'0' * 63}", f"1:{'0' * 64},1:{'1' * 64}", "")
    ],
    ("JOBSERVICE_KEY_OUTAGE_SECONDS", "86401", "'86401' is not a number of seconds between 0 and 86400."),
    *[
        (
            "JOBSERVICE_VAULT_URL",
            value,
            "it must be an address such as https://vault.example.com:8200; http only on this machine itself.",
        )
        for value in ("http://vault.example.com:8200", f"https://u:{SECRET}@vault", "https://vault/v1", "vault:8200")
    ],
    ("JOBSERVICE_VAULT_NAMESPACE", "a b", "'a b' is not a path such as transit or team/transit."),
    ("JOBSERVICE_VAULT_MOUNT", "/transit", "'/transit' is not a path such as transit or team/transit."),
    ("JOBSERVICE_VAULT_APPROLE_MOUNT", "app?", "'app?' is not a path such as transit or team/transit."),
    ("JOBSERVICE_VAULT_KEY", "a/b", "'a/b' is not the name of a Transit key such as jobservice."),
    ("JOBSERVICE_VAULT_KEY", "", "'' is not the name of a Transit key such as jobservice."),
    *[
        (variable, f"{SECRET} two words", "it must be printable ASCII characters without spaces.")
        for variable in ("JOBSERVICE_VAULT_TOKEN", "JOBSERVICE_VAULT_ROLE_ID", "JOBSERVICE_VAULT_SECRET_ID")
    ],
    ("JOBSERVICE_VAULT_CA_FILE", "{file}/x", "{file}/x cannot be read (Not a directory); name a file."),
    ("JOBSERVICE_SESSION_IDLE_SECONDS", "59", "'59' is not a number of seconds between 60 and 604800."),
    ("JOBSERVICE_SESSION_SECONDS", "2592001", "'2592001' is not a whole number between 60 and 2592000."),
    *[
        (
            "JOBSERVICE_SMTP_URL",
            value,
            SMTP_SENTENCE,
        )
        for value in ("mail.example.com:25", f"smtp://u:{SECRET}@mail", "http://mail:25", "smtp://:25")
    ],
    (
        "JOBSERVICE_SMTP_URL",
        f"smtp://u:{SECRET}@mail.example.com:25",
        "a password goes over TLS only: use smtps:// or smtp+starttls://.",
    ),
    ("JOBSERVICE_MAIL_FROM", "two words@example.com", "it must be an address such as jobs@example.com."),
    ("JOBSERVICE_VAULT_TIMEOUT_SECONDS", "31", "'31' is not a number of seconds between 0.1 and 30."),
]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if re.fullmatch(r"(PORT|DATABASE_URL|BROKER_URL|JOBSERVICE_\w+)(_FILE)?", name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("JOBSERVICE_DATA_DIR", str(tmp_path))


def refusal() -> str:
    with pytest.raises(env.ConfigurationError) as refused:
        env.load()
    return str(refused.value)


@pytest.mark.parametrize(("variable", "value", "sentence"), WRONG)
def test_a_wrong_value_is_one_sentence_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, sentence: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(variable, value.format(file=tmp_path / "file"))
    assert refusal() == f"{variable}: {sentence.format(file=tmp_path / 'file')}"
    assert SECRET not in refusal()


def test_every_variable_is_in_the_table() -> None:
    read = set(re.findall(r'"(PORT|DATABASE_URL|BROKER_URL|JOBSERVICE_[A-Z_]+)"', Path(env.__file__).read_text()))
    assert read == {variable for variable, _, _ in WRONG}


def test_every_wrong_variable_is_told_at_once_and_ends_the_start_with_2(tmp_path: Path) -> None:
    wrong = {variable: value.format(file=os.devnull) for variable, value, _ in WRONG}
    refused = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **wrong},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert refused.returncode == 2, refused.stderr
    assert {line.partition(": ")[0] for line in refused.stderr.splitlines()} == wrong.keys()


def test_a_value_may_stand_in_a_file_with_the_end_of_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("10.0.0.0/8, 192.168.0.0/16\n")
    monkeypatch.setenv("JOBSERVICE_EGRESS_ALLOW_FILE", str(tmp_path / "value"))
    assert [str(network) for network in env.load().egress_allow or ()] == ["10.0.0.0/8", "192.168.0.0/16"]


def test_a_file_for_a_value_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PORT_FILE", str(tmp_path / "none"))
    (tmp_path / "binary").write_bytes(b"\xff")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "binary"))
    assert refusal().splitlines() == [
        f"DATABASE_URL_FILE: {tmp_path}/binary cannot be read (it is not text); name a file that holds the value.",
        f"PORT_FILE: {tmp_path}/none cannot be read (No such file or directory); name a file that holds the value.",
    ]


def test_an_empty_list_is_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.load().egress_allow is None
    monkeypatch.setenv("JOBSERVICE_EGRESS_ALLOW", "")
    monkeypatch.setenv("JOBSERVICE_EGRESS_PORTS", "")
    assert env.load().egress_allow == ()
    assert env.load().egress_ports == ()


def test_hosts_may_be_names_domains_addresses_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSERVICE_ALLOWED_HOSTS", "jobs.example.com, .example.org,10.0.0.1,[::1],*")
    assert env.load().allowed_hosts == ["jobs.example.com", ".example.org", "10.0.0.1", "[::1]", "*"]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"JOBSERVICE_ROOT_KEY_PROVIDER": "environment"}, ["JOBSERVICE_ROOT_KEYS"]),
        ({"JOBSERVICE_ROOT_KEY_PROVIDER": "vault"}, ["JOBSERVICE_VAULT_URL", "JOBSERVICE_VAULT_TOKEN"]),
        (
            {
                "JOBSERVICE_ROOT_KEY_PROVIDER": "vault",
                "JOBSERVICE_VAULT_URL": "https://vault",
                "JOBSERVICE_VAULT_TOKEN": SECRET,
                "JOBSERVICE_VAULT_ROLE_ID": SECRET,
            },
            ["JOBSERVICE_VAULT_TOKEN"],
        ),
    ],
)
def test_what_a_provider_of_the_root_key_lacks_is_told_to_all_but_who_opens_nothing(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], missing: list[str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert [line.partition(": ")[0] for line in refusal().splitlines()] == missing
    assert SECRET not in refusal()
    monkeypatch.setenv("JOBSERVICE_PROCESS", "dispatcher")
    env.load()


def test_root_keys_and_what_is_shown_to_vault_may_stand_in_files_and_are_not_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(f"1:{'ab' * 32}, 2:{'CD' * 32}\n")
    (tmp_path / "token").write_text(f"{SECRET}\n")
    monkeypatch.setenv("JOBSERVICE_ROOT_KEYS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("JOBSERVICE_VAULT_TOKEN_FILE", str(tmp_path / "token"))
    read = env.load()
    assert read.root_keys == {1: b"\xab" * 32, 2: b"\xcd" * 32}
    assert (read.vault.token.value, read.vault.token.path) == (SECRET, tmp_path / "token")
    assert SECRET not in repr(read)
    assert repr(b"\xab" * 32) not in repr(read)
    (tmp_path / "token").write_text("renewed")
    assert read.vault.token.read() == "renewed"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://jobs.example.com", "https://jobs.example.com"),
        ("https://Jobs.Example.com:443/", "https://jobs.example.com"),
        ("https://jobs.example.com/some/path", "https://jobs.example.com"),
        ("https://user@jobs.example.com:8443/?x#y", "https://jobs.example.com:8443"),
        ("HTTP://jobs.example.com:80", "http://jobs.example.com"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_forms_may_come_from_the_origin_of_the_public_address() -> None:
    read = "from jobservice import settings; print(settings.CSRF_TRUSTED_ORIGINS)"
    variables = {**os.environ, "JOBSERVICE_PUBLIC_URL": "https://Jobs.Example.com:443/some/path"}
    done = subprocess.run([sys.executable, "-c", read], env=variables, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "['https://jobs.example.com']", done.stderr
