"""A `clouds.yaml` that can't be right: whoever wrote it is told what to mend, and no secret."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from control_plane.kit import clock
from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.cloud.openstack.sdk import Api
from tests.openstack.telling import shown

SECRET = "never-to-be-shown"
WHOLE = """
clouds:
  edubba:
    auth: {{auth_url: '{url}', username: edubba, password: {secret}, domain_id: own,
      user_domain_name: own}}
    cacert: {ca}
"""


ODD = """
clouds:
  edubba:
    auth_type: none_such
    auth: {auth_url: u, user_id: e, password: p, domain_id: d}
"""


class _Nothing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


class _Quiet(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of those who don't trust the certificate."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Have something that answers, and is no cloud."""
    with _Quiet(("127.0.0.1", 0), _Nothing) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}/v3"
        server.shutdown()


def an_expired_certificate(folder: Path) -> Path:
    """Write a certificate for loopback whose time is over, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), clock.now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a cloud")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = folder / "cloud.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


def written(folder: Path, text: str) -> Path:
    path = folder / "clouds.yaml"
    path.write_text(text)
    return path


def asked(folder: Path, url: str, ca: str = "null") -> Refused | Unavailable:
    api = Api(written(folder, WHOLE.format(url=url, secret=SECRET, ca=ca)), "edubba")
    with pytest.raises((Refused, Unavailable)) as caught:
        api.user_id()
    error = caught.value
    assert isinstance(error, (Refused, Unavailable))
    assert SECRET not in shown(error)
    return error


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        Api(tmp_path / "clouds.yaml", "edubba")
    assert f"{tmp_path}/clouds.yaml: No such file" in shown(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"clouds:\n  edubba: [{SECRET}\n", "is no YAML at line 3"),
        ("", "has no entry edubba"),
        ("- clouds", "has no entry edubba"),
        ("clouds: {other: {auth: {}}}", "has no entry edubba"),
        ("clouds: {edubba: null}", "has no entry edubba"),
        ("clouds: {edubba: {region_name: one}}", "names no auth_url"),
        (f"clouds: {{edubba: {{auth: {{auth_url: u, password: {SECRET}}}}}}}", "no username or"),
        ("clouds: {edubba: {auth: {auth_url: u, username: e, domain_id: d}}}", "names no password"),
        ("clouds: {edubba: {auth: {auth_url: u, user_id: e, password: p}}}", "names no domain_id"),
        (ODD, "none_such"),
    ],
)
def test_what_a_file_lacks_is_said_and_not_what_is_in_it(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(Refused) as caught:
        Api(written(tmp_path, text), "edubba")
    assert told in shown(caught.value)
    assert SECRET not in shown(caught.value)


def test_an_address_where_nobody_answers_is_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = asked(tmp_path, f"http://127.0.0.1:{port}/v3")
    assert error.code == "cloud_not_answering"
    assert f"127.0.0.1:{port}" in shown(error)


def test_an_address_that_is_no_keystone_is_said_to_answer_otherwise(tmp_path: Path) -> None:
    with serving() as url:
        error = asked(tmp_path, url)
    assert error.code == "cloud_not_answering"
    assert "404" in shown(error)


def test_a_certificate_that_expired_is_waited_for_and_said(tmp_path: Path) -> None:
    path = an_expired_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with serving(context) as url:
        error = asked(tmp_path, url, str(path))
    assert error.code == "cloud_certificate_wrong"
    assert "certificate has expired" in shown(error)
