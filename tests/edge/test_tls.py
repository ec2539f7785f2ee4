"""Certificates and handshakes, as a visitor's machine sees them."""

import ssl
import subprocess

import pytest

from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.edge.port import Certificate, Route, RouteState
from control_plane.ports.keyring.memory import MemoryKeyring
from tests.edge.world import (
    NAMES,
    ZONE,
    EdgeWorld,
    certificate,
)

pytestmark = [pytest.mark.root, pytest.mark.slow]


def openssl(world: EdgeWorld, *options: str) -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{world.ports['https']}"]
    command += ["-CAfile", str(world.folder / "ca.pem"), *options]
    done = subprocess.run(command, input=b"", capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


def test_old_tls_is_refused(world: EdgeWorld) -> None:
    sni = ("-servername", f"ur.{ZONE}")
    old = openssl(world, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", *sni)
    assert "alert protocol version" in old
    assert "Verify return code: 0 (ok)" in openssl(world, "-tls1_2", *sni)
    assert "Verify return code: 0 (ok)" in openssl(world, "-tls1_3", *sni)
    weak = openssl(world, "-tls1_2", "-cipher", "AES128-SHA:ECDHE-ECDSA-AES128-SHA", *sni)
    assert "alert handshake failure" in weak


def test_http_2_is_spoken_and_routed(world: EdgeWorld) -> None:
    urls = []
    resolved = []
    for name in NAMES:
        resolved += ["--resolve", f"{name}.{ZONE}:{world.ports['https']}:127.0.0.1"]
        urls.append(f"https://{name}.{ZONE}:{world.ports['https']}/")
    command = ["curl", "-sS", "--http2", "--cacert", str(world.folder / "ca.pem")]
    command += ["-w", " %{http_version} %{num_connects}\n", *resolved, *urls]
    lines = subprocess.run(command, check=True, capture_output=True).stdout.decode().splitlines()
    assert [line.split('"')[3] for line in lines] == list(NAMES)
    assert all(" 2 " in line for line in lines)


def test_a_name_without_a_certificate_gets_no_handshake(world: EdgeWorld) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name|handshake"):
        world.connect("moh.gov.iq")


def test_a_visitor_trusts_one_ca_only(world: EdgeWorld) -> None:
    other = world.folder / "other-ca.pem"
    other.write_text(MemoryKeyring(ZONE).ca_certificate_pem())
    with pytest.raises(Unavailable) as caught:
        world.edge_seen_by(other).observe(f"ur.{ZONE}")
    assert caught.value.code == "edge_not_trusted"


def test_an_edge_with_the_wrong_certificate_is_not_believed(world: EdgeWorld) -> None:
    served = certificate(world.keyring, f"*.{ZONE}")
    foreign = certificate(MemoryKeyring(ZONE), f"*.{ZONE}")
    world.edge.ensure_certificate(foreign)
    with pytest.raises(Unavailable) as caught:
        world.edge.observe(f"ur.{ZONE}")
    assert caught.value.code == "edge_not_trusted"
    world.edge.ensure_certificate(served)
    assert world.edge.observe(f"ur.{ZONE}").status == 200


def test_a_certificate_that_cannot_be_used_changes_nothing(world: EdgeWorld) -> None:
    good, other = (certificate(world.keyring, f"*.{ZONE}") for _ in range(2))
    world.edge.ensure_certificate(good)
    before = world.shown_certificate(f"ur.{ZONE}")
    injected = f"{good.key_pem}\n\ndisable frontend https\n"
    for chain, key in (
        (good.chain_pem, other.key_pem),
        (good.chain_pem, ""),
        ("", good.key_pem),
        ("no pem", "no pem"),
        (good.chain_pem, "مفتاح"),
        (good.chain_pem[:200], injected),
    ):
        with pytest.raises(Refused) as caught:
            world.edge.ensure_certificate(Certificate(good.name, chain, key))
        assert caught.value.code == "certificate_unusable"
    assert world.shown_certificate(f"ur.{ZONE}") == before
    assert not [path for path in world.state_dir.rglob(".*") if path.is_file()]


def test_a_payload_cannot_smuggle_a_command(world: EdgeWorld) -> None:
    good = certificate(world.keyring, f"*.{ZONE}")
    smuggled = f"{good.key_pem}\n\nclear map {world.state_dir}/routes.map\n"
    world.edge.ensure_certificate(Certificate(good.name, good.chain_pem, smuggled))
    assert len(list(world.edge.list_routes())) == 3
    assert world.edge.observe(f"ur.{ZONE}").status == 200


@pytest.mark.parametrize("name", ["../x", "*", "*.*.localhost", "a b.localhost", "x.localhost\n"])
def test_a_certificates_name_is_no_path(world: EdgeWorld, name: str) -> None:
    with pytest.raises(Refused) as caught:
        world.edge.ensure_certificate(Certificate(name, "", ""))
    assert caught.value.code == "hostname_malformed"


def test_a_certificate_for_one_name_is_added_while_running(world: EdgeWorld) -> None:
    keyring = MemoryKeyring()
    ca_file = world.folder / "second-ca.pem"
    ca_file.write_text(keyring.ca_certificate_pem())
    world.edge.ensure_route(Route("edu.gov.iq", RouteState.SERVING, world.servers["ur"]))
    visitor = world.edge_seen_by(ca_file)
    with pytest.raises(Unavailable):
        visitor.observe("edu.gov.iq")
    for _ in range(2):  # the second one is a renewal
        world.edge.ensure_certificate(certificate(keyring, "edu.gov.iq"))
        assert visitor.observe("edu.gov.iq").status == 200
    assert (world.state_dir / "crt-list").read_text().count("edu.gov.iq") == 1
