"""Certificates that must not be believed, made for each run."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jobservice.egress.client import EgressClient, EgressRequest
from jobservice.egress.failures import EgressFailed
from tests.egress.servers import LOCAL, PATIENCE_SECONDS, FakeResolver, fixed, peer

HOST = "receiver.test"
OK = fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Authority:
    """A certificate authority of one test run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self.file = folder / "authority.pem"
        builder = self._builder(self.name, self.key.public_key(), days=1)
        certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.file.write_bytes(certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server(self, host: str = HOST, *, days: int = 1, is_self_signed: bool = False) -> ssl.SSLContext:
        """The TLS side of a server with a certificate for the host, valid until so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        builder = self._builder(subject, key.public_key(), days=days, issuer=subject if is_self_signed else self.name)
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        certificate = builder.add_extension(names, critical=False).sign(
            key if is_self_signed else self.key, hashes.SHA256()
        )
        file = self.folder / "server.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        days: int,
        issuer: x509.Name | None = None,
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=9))
            .not_valid_after(now + datetime.timedelta(days=days))
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def call(context: ssl.SSLContext, authorities: Path | None) -> tuple[str, list[bytes]]:
    """What a call to https://receiver.test ends in, and the requests that arrived."""

    async def scenario() -> tuple[str, list[bytes]]:
        file = str(authorities) if authorities else None
        async with (
            peer(OK, tls=context) as listener,
            EgressClient(LOCAL, resolver=FakeResolver(["127.0.0.1"]), authorities=file) as client,
        ):
            try:
                url = listener.url(scheme="https", host=HOST)
                answer = await client.send(EgressRequest("POST", url, body=b"secret", timeout_seconds=PATIENCE_SECONDS))
            except EgressFailed as failure:
                return failure.error_class, listener.requests
            return str(answer.status), listener.requests

    return asyncio.run(scenario())


def test_good_certificate_is_believed(authority: Authority) -> None:
    assert call(authority.server(), authority.file)[0] == "200"


def test_expired_certificate_is_refused(authority: Authority) -> None:
    assert call(authority.server(days=-1), authority.file) == ("tls", [])


def test_certificate_of_another_name_is_refused(authority: Authority) -> None:
    assert call(authority.server("other.test"), authority.file) == ("tls", [])


def test_certificate_that_signed_itself_is_refused(authority: Authority) -> None:
    assert call(authority.server(is_self_signed=True), authority.file) == ("tls", [])


def test_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    assert call(authority.server(), None) == ("tls", [])


def test_tls_older_than_1_2_is_refused(authority: Authority) -> None:
    context = authority.server()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    assert call(context, authority.file) == ("tls", [])


def test_plain_http_where_tls_is_expected_is_refused(authority: Authority) -> None:
    async def scenario() -> str:
        async def speak_first(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(speak_first, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, EgressClient(LOCAL, authorities=str(authority.file)) as client:
            with pytest.raises(EgressFailed) as caught:
                await client.send(EgressRequest("GET", f"https://127.0.0.1:{port}/", timeout_seconds=PATIENCE_SECONDS))
            return caught.value.error_class

    assert asyncio.run(scenario()) == "tls"
