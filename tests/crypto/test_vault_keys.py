"""The root key in Vault, over hvac and a real socket: what wraps, what is refused, and what an outage means."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hvac.exceptions import InvalidRequest

from jobservice.crypto import kept_secrets, vault_client, vault_keys
from jobservice.crypto.root_key import RootKeyring, RootKeys, wrapped_under
from jobservice.crypto.vault_keys import VaultProvider
from jobservice.env import ConfigurationError
from jobservice.errors import KeyProviderAway, Unavailable, Unreadable
from jobservice.key_settings import Credential
from tests.crypto.vault_server import OPERATOR, ROLE_ID, SECRET_ID, Key, VaultServer, running_vault
from tests.crypto.vault_use import vault_settings
from tests.stopwatch import Stopwatch

SECRET = bytes(range(32))


class Binding(TypedDict):
    tenant: UUID
    purpose: str
    version: int


BINDING: Binding = {"tenant": UUID(int=7), "purpose": "data", "version": 4}


@pytest.fixture
def server() -> Iterator[VaultServer]:
    with running_vault() as made:
        yield made


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_client, "REST_SECONDS", 0.0)


def provider(server: VaultServer, *, outage_seconds: float = 3600.0, **changes: Any) -> VaultProvider:
    return VaultProvider(vault_settings(server, **changes), outage_seconds=outage_seconds)


def unkept(server: VaultServer, **changes: Any) -> RootKeys:
    """The root keys of a process that keeps nothing, so that Vault is asked each time."""
    return provider(server, outage_seconds=0, **changes).load()


def test_a_wrapped_secret_unwraps_in_another_process_and_names_vaults_version(server: VaultServer) -> None:
    wrapped = unkept(server).wrap(SECRET, **BINDING)
    assert unkept(server).unwrap(wrapped, **BINDING) == SECRET
    assert (wrapped[:3], wrapped_under(wrapped), len(wrapped)) == (b"K1\x02", 1, 67)
    assert SECRET not in wrapped


@pytest.mark.parametrize(
    "other",
    [{"tenant": UUID(int=8)}, {"purpose": "index"}, {"version": 5}],
)
def test_a_wrapped_secret_moved_elsewhere_is_refused_by_vault(server: VaultServer, other: dict[str, Any]) -> None:
    keys = unkept(server)
    wrapped = keys.wrap(SECRET, **BINDING)
    with pytest.raises(Unreadable, match="altered"):
        keys.unwrap(wrapped, **{**BINDING, **other})


def test_an_altered_one_is_refused_and_one_of_a_file_is_said_to_be_so(server: VaultServer) -> None:
    keys = unkept(server)
    wrapped = keys.wrap(SECRET, **BINDING)
    for place in (7, 30, len(wrapped) - 1):
        altered = wrapped[:place] + bytes([wrapped[place] ^ 1]) + wrapped[place + 1 :]
        with pytest.raises(Unreadable, match="altered"):
            keys.unwrap(altered, **BINDING)
    with pytest.raises(Unreadable, match="not of this provider"):
        keys.unwrap(RootKeyring({1: bytes(32)}).wrap(SECRET, **BINDING), **BINDING)


def test_a_rotation_makes_vaults_next_version_and_older_ones_still_open(server: VaultServer) -> None:
    made = provider(server, outage_seconds=0)
    old = made.load().wrap(SECRET, **BINDING)
    assert made.add_version() == 2
    keys = made.load()
    assert keys.current_version == 2
    assert wrapped_under(keys.wrap(SECRET, **BINDING)) == 2
    assert wrapped_under(keys.up_to(1).wrap(SECRET, **BINDING)) == 1
    assert keys.unwrap(old, **BINDING) == SECRET


def test_vaults_rewrap_knows_no_associated_data_which_is_why_it_is_not_used(server: VaultServer) -> None:
    keys = unkept(server)
    wrapped = keys.wrap(SECRET, **BINDING)
    client = keys.client._session().client  # type: ignore[attr-defined]
    with pytest.raises(InvalidRequest, match="message authentication failed"):
        client.secrets.transit.rewrap_data("jobservice", f"vault:v1:{vault_client._encode(wrapped[7:])}")


def test_a_version_below_min_decryption_version_is_unavailable_and_not_lost(server: VaultServer) -> None:
    keys = unkept(server)
    wrapped = keys.wrap(SECRET, **BINDING)
    server.keys["jobservice"].rotate()
    server.keys["jobservice"].least = 2
    with pytest.raises(Unavailable, match="min_decryption_version"):
        keys.unwrap(wrapped, **BINDING)
    server.keys["jobservice"].least = 1
    assert keys.unwrap(wrapped, **BINDING) == SECRET


def test_the_fingerprint_is_recognised_after_rotations_and_not_under_another_key(server: VaultServer) -> None:
    made = provider(server)
    stored = made.load().fingerprint()
    made.add_version()
    assert made.load().recognises(stored)
    assert made.load().fingerprint().startswith("2:")
    server.keys["jobservice"] = Key()
    assert not made.load().recognises(stored)
    assert not made.load().recognises(RootKeyring({1: bytes(32)}).fingerprint())


def test_the_mark_is_the_same_wherever_vault_is_reached_from(server: VaultServer) -> None:
    first, second = unkept(server), unkept(server, url=server.url.replace("127.0.0.1", "localhost"))
    assert first.mark() == second.mark()
    assert first.is_own_mark(second.mark())
    assert not first.is_own_mark("0" * 32)


def test_what_was_unwrapped_serves_through_an_outage_and_not_beyond_its_time(
    server: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    monkeypatch.setattr(kept_secrets, "time", stopped_at(began))
    made = provider(server, outage_seconds=600)
    keys = made.load()
    wrapped, never_opened = unkept(server).wrap(SECRET, **BINDING), unkept(server).wrap(bytes(32), **BINDING)
    assert keys.unwrap(wrapped, **BINDING) == SECRET
    server.stop()
    monkeypatch.setattr(kept_secrets, "time", stopped_at(began + 599))
    assert keys.unwrap(wrapped, **BINDING) == SECRET
    assert made.is_away
    assert made.has_kept
    with pytest.raises(KeyProviderAway):
        keys.unwrap(never_opened, **BINDING)
    monkeypatch.setattr(kept_secrets, "time", stopped_at(began + 601))
    with pytest.raises(KeyProviderAway, match="try again") as away:
        keys.unwrap(wrapped, **BINDING)
    assert "does not answer; start it" in away.value.cause
    server.start()
    assert keys.unwrap(wrapped, **BINDING) == SECRET
    assert not made.is_away


def stopped_at(seconds: float) -> type:
    """A clock that stands still."""
    return type("Clock", (), {"monotonic": staticmethod(lambda: seconds)})


def test_a_key_that_was_just_opened_is_not_asked_for_again(
    server: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = provider(server).load()
    wrapped = unkept(server).wrap(SECRET, **BINDING)
    for _ in range(5):
        keys.unwrap(wrapped, **BINDING)
    assert server.count("decrypt") == 1
    monkeypatch.setattr(vault_keys, "FRESH_SECONDS", 0.0)
    keys.unwrap(wrapped, **BINDING)
    assert server.count("decrypt") == 2


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"is_sealed": True}, "is sealed, in standby"),
        ({"seconds_late": 30.0}, "does not answer"),
        ({"is_mute": True}, "answers with a fault (UnexpectedError)"),
        ({"redirect_to": "http://127.0.0.1:9"}, "answers with a fault (UnexpectedError)"),
        ({"tokens": {}}, "refuses us"),
        ({"keys": {}}, "refuses the request"),
    ],
)
def test_whatever_is_wrong_with_vault_may_pass_and_loses_nothing(
    server: VaultServer, fault: dict[str, Any], sentence: str
) -> None:
    # Few where it is the fault that there is no answer, and enough for those calls that get one.
    keys = unkept(server, **({"timeout_seconds": 3.0} if "seconds_late" in fault else {}))
    wrapped = keys.wrap(SECRET, **BINDING)
    before = {name: getattr(server, name) for name in fault}
    for name, value in fault.items():
        setattr(server, name, value)
    with pytest.raises(KeyProviderAway) as away:
        keys.unwrap(wrapped, **BINDING)
    assert sentence in away.value.cause
    assert server.url not in away.value.detail
    for name, value in before.items():
        setattr(server, name, value)
    assert keys.unwrap(wrapped, **BINDING) == SECRET


def test_in_an_outage_few_wait_for_the_timeout_and_the_others_fail_at_once(
    server: VaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_client, "REST_SECONDS", 30.0)
    keys = unkept(server, timeout_seconds=3.0)
    wrapped = keys.wrap(SECRET, **BINDING)
    server.seconds_late = 30.0
    with pytest.raises(KeyProviderAway):
        keys.unwrap(wrapped, **BINDING)
    asked = len(server.asked)
    with Stopwatch() as watch:
        for _ in range(50):
            with pytest.raises(KeyProviderAway):
                keys.unwrap(wrapped, **BINDING)
    assert len(server.asked) == asked
    assert watch.moving_seconds < 1.0


def test_threads_that_wait_for_one_login_fail_with_it(server: VaultServer) -> None:
    made = provider(server, timeout_seconds=0.5, role_id=ROLE_ID, secret_id=Credential(SECRET_ID), token=Credential())
    server.seconds_late = 5.0
    with Stopwatch() as watch, ThreadPoolExecutor(8) as threads:
        failures = [future.exception() for future in [threads.submit(made.load) for _ in range(8)]]
    assert {type(failure) for failure in failures} == {KeyProviderAway}
    assert watch.moving_seconds < 3.0


def test_a_role_logs_in_once_and_again_when_its_token_is_revoked(server: VaultServer) -> None:
    keys = unkept(server, role_id=ROLE_ID, secret_id=Credential(SECRET_ID), token=Credential())
    wrapped = keys.wrap(SECRET, **BINDING)
    keys.unwrap(wrapped, **BINDING)
    assert server.count("login") == 1
    server.tokens.clear()
    assert keys.unwrap(wrapped, **BINDING) == SECRET
    assert server.count("login") == 2


def test_a_secret_id_is_read_anew_from_its_file_at_a_login(server: VaultServer, tmp_path: Path) -> None:
    file = tmp_path / "secret-id"
    file.write_text("spent\n")
    made = provider(server, role_id=ROLE_ID, secret_id=Credential("spent", file), token=Credential())
    with pytest.raises(KeyProviderAway) as away:
        made.load()
    assert "the role and its secret are right" in away.value.cause
    file.write_text(f"{SECRET_ID}\n")
    assert made.load().current_version == 1


def test_a_token_that_was_replaced_in_its_file_is_found_at_the_first_refusal(
    server: VaultServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("t-service")
    keys = unkept(server, token=Credential("t-service", file))
    wrapped = keys.wrap(SECRET, **BINDING)
    del server.tokens["t-service"]
    with pytest.raises(KeyProviderAway):
        keys.unwrap(wrapped, **BINDING)
    file.write_text("t-operator\n")
    assert keys.unwrap(wrapped, **BINDING) == SECRET


def test_a_token_is_renewed_when_half_its_time_is_over(server: VaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = unkept(server)
    wrapped = keys.wrap(SECRET, **BINDING)
    assert server.count("renew-self") == 1
    now = time.monotonic
    monkeypatch.setattr(vault_client, "time", type("Clock", (), {"monotonic": staticmethod(lambda: now() + 1801)}))
    keys.unwrap(wrapped, **BINDING)
    keys.unwrap(wrapped, **BINDING)
    assert server.count("renew-self") == 2


def test_a_token_that_cannot_be_renewed_is_used_as_it_is(server: VaultServer) -> None:
    server.lease_seconds = 0
    keys = unkept(server)
    keys.unwrap(keys.wrap(SECRET, **BINDING), **BINDING)
    assert server.count("renew-self") == 1


def test_the_service_needs_no_more_than_its_policy(server: VaultServer) -> None:
    made = provider(server, token=Credential("t-service"))
    keys = made.load()
    assert keys.unwrap(keys.wrap(SECRET, **BINDING), **BINDING) == SECRET
    assert keys.recognises(keys.fingerprint())
    with pytest.raises(KeyProviderAway) as away:
        made.add_version()
    assert "see that its policy" in away.value.cause


def test_a_namespace_is_sent(server: VaultServer) -> None:
    server.namespace = "team"
    assert unkept(server, namespace="team").current_version == 1
    with pytest.raises(KeyProviderAway):
        unkept(server)


def test_a_key_that_is_not_there_or_of_another_type_is_named(server: VaultServer) -> None:
    with pytest.raises(KeyProviderAway) as away:
        unkept(server, key="other")
    assert "there is no Transit key transit/keys/other" in away.value.cause
    server.keys["jobservice"].type = "rsa-2048"
    with pytest.raises(ConfigurationError, match=r"JOBSERVICE_VAULT_KEY: .* not of type aes256-gcm96"):
        unkept(server)


def test_a_forked_process_has_a_connection_of_its_own(server: VaultServer) -> None:
    keys = unkept(server)
    wrapped = keys.wrap(SECRET, **BINDING)
    parents = keys.client._session()  # type: ignore[attr-defined]
    pid = os.fork()
    if pid == 0:
        is_right = keys.unwrap(wrapped, **BINDING) == SECRET
        os._exit(0 if is_right and keys.client._session() is not parents else 1)  # type: ignore[attr-defined]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    with running_vault(tls=own_certificate(tmp_path)) as server:
        with pytest.raises(KeyProviderAway) as away:
            unkept(server)
        assert "cannot be verified; name the authority's file in JOBSERVICE_VAULT_CA_FILE" in away.value.cause
        assert unkept(server, ca_file=tmp_path / "own.pem").current_version == 1


def test_nothing_secret_is_printed_logged_or_told(server: VaultServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secrets = ["t-canary", ROLE_ID, SECRET_ID, SECRET.hex(), vault_client._encode(SECRET), repr(SECRET)]
    texts = []
    role = {"token": Credential(), "role_id": ROLE_ID, "secret_id": Credential(SECRET_ID)}
    shown: list[dict[str, Any]] = [{"token": Credential("t-canary")}, role]
    for changes in shown:
        made = provider(server, **changes)
        texts += [repr(made), repr(vault_settings(server, **changes))]
        server.tokens["t-canary"] = OPERATOR
        keys = made.load()
        keys.unwrap(keys.wrap(SECRET, **BINDING), **BINDING)
        texts.append(repr(keys))
        server.tokens.clear()
        server.is_sealed = True
        with pytest.raises(KeyProviderAway) as away:
            keys.recognises(keys.fingerprint())
        server.is_sealed = False
        texts += [str(away.value), away.value.cause]
    for text in [*texts, caplog.text]:
        assert not [secret for secret in secrets if secret in text]


def own_certificate(folder: Path) -> ssl.SSLContext:
    """The TLS side of a server at 127.0.0.1, with a certificate that only `own.pem` vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "own.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes((folder / "own.pem").read_bytes() + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context
