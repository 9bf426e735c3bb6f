"""The proxy's certificate: read, read again when it changes, and kept when the new one cannot be read."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest

from remora.errors import OptionError
from remora.local.tls import LocalTls
from remora.proxy.tls import BadCertificate, Certificate, Files
from tests.fakes.certificates import Pair, pair


def subject(certificate: Certificate, trusted: Pair) -> str:
    """Return whose certificate a client that trusts the pair is shown, or why it is not content."""
    client = ssl.create_default_context(cafile=trusted.certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    other = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
    found = one.getpeercert()
    assert found is not None
    subject: Any = found["subject"]
    return str(dict(pair for (pair,) in subject)["commonName"])


def test_a_new_certificate_holds_for_new_connections(tmp_path: Path) -> None:
    old, new = pair(tmp_path, "old"), pair(tmp_path, "new")
    certificate = Certificate(Files(old.certificate, old.key))
    assert subject(certificate, old) == "old"
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert not certificate.look()

    new.certificate.replace(old.certificate)
    new.key.replace(old.key)
    assert certificate.look()
    assert subject(certificate, old) == "new"


def test_one_that_cannot_be_read_leaves_the_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, new = pair(tmp_path, "old"), pair(tmp_path, "new")
    trusted = Pair(tmp_path / "trusted.crt", old.key)
    trusted.certificate.write_bytes(old.certificate.read_bytes())
    certificate = Certificate(Files(old.certificate, old.key))
    # The certificate is there before its key, as when two files are copied.
    new.certificate.replace(old.certificate)
    with caplog.at_level(logging.ERROR):
        assert not certificate.look()
    assert "stays in use" in caplog.text
    assert subject(certificate, trusted) == "old"

    new.key.replace(old.key)
    assert certificate.look()


def test_a_key_may_be_encrypted(tmp_path: Path) -> None:
    made = pair(tmp_path, password="open sesame")
    assert subject(Certificate(Files(made.certificate, made.key, "open sesame")), made) == "server"
    with pytest.raises(BadCertificate, match=r"server\.crt, .*server\.key"):
        Certificate(Files(made.certificate, made.key, "open barley"))
    with pytest.raises(BadCertificate, match=r"server\.key"):
        Certificate(Files(made.certificate, made.key))


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match=r"here\.crt"):
        Certificate(Files(tmp_path / "here.crt", tmp_path / "here.key"))


def test_options_without_tls_are_http_in_the_clear() -> None:
    assert LocalTls.of({"host": "127.0.0.1", "ssl_certfile": None, "ssl_keyfile": ""}) is None


def test_options_become_arguments_and_the_password_does_not(tmp_path: Path) -> None:
    for name in ("a.crt", "a.key", "ca.crt"):
        (tmp_path / name).touch()
    found = LocalTls.of(
        {
            "ssl_certfile": str(tmp_path / "a.crt"),
            "ssl_keyfile": str(tmp_path / "a.key"),
            "ssl_ca_certs": str(tmp_path / "ca.crt"),
            "ssl_keyfile_password": "open sesame",
        }
    )
    assert found is not None
    assert found.arguments() == {
        "--tls-certificate": tmp_path / "a.crt",
        "--tls-key": tmp_path / "a.key",
        "--tls-authorities": tmp_path / "ca.crt",
    }
    assert found.environment() == {"REMORA_TLS_PASSWORD": "open sesame"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ssl_certfile": __file__}, "ssl_keyfile is missing"),
        ({"ssl_keyfile": __file__}, "ssl_certfile is missing"),
        ({"ssl_certfile": "/not/there.crt", "ssl_keyfile": __file__}, r"ssl_certfile is '/not/there\.crt'"),
    ],
)
def test_half_of_tls_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        LocalTls.of(given)
