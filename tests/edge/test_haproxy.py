"""What only a real edge can show: connections, restarts, TLS, rights."""

import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path
from time import monotonic
from urllib.request import urlopen

import pytest

from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.edge.port import Certificate, Route, RouteState
from control_plane.ports.keyring.memory import MemoryKeyring
from tests.edge.world import (
    EDGE_UID,
    NAMES,
    WORKER_UID,
    ZONE,
    EdgeWorld,
    ask,
    certificate,
    running_world,
    wait_until,
)

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def one_world() -> Iterator[EdgeWorld]:
    with running_world() as world:
        yield world


@pytest.fixture
def world(one_world: EdgeWorld) -> EdgeWorld:
    one_world.edge.replace_routes(
        Route(f"{name}.{ZONE}", RouteState.SERVING, one_world.servers[name]) for name in NAMES
    )
    return one_world


def plain(world: EdgeWorld) -> socket.socket:
    return socket.create_connection(("127.0.0.1", world.ports["http"]), 10)


def openssl(world: EdgeWorld, *options: str) -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{world.ports['https']}"]
    command += ["-CAfile", str(world.folder / "ca.pem"), *options]
    done = subprocess.run(command, input=b"", capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


def shown_key(world: EdgeWorld, sni: str) -> bytes:
    with world.connect(sni) as connection:
        found = connection.getpeercert(binary_form=True)
    assert found
    return found


def test_requests_on_kept_connections_never_cross_hosts(world: EdgeWorld) -> None:
    def visit(worker: int) -> int:
        with world.connect(f"ur.{ZONE}") as connection:
            for number in range(750):
                name = NAMES[(number + worker) % 3]
                reply = ask(connection, f"{name}.{ZONE}", f"/{worker}/{number}")
                assert reply.asked["server"] == name
                assert reply.asked["path"] == f"/{worker}/{number}"
        return 750

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(visit, range(4))) == 3000


def test_http_is_sent_to_https_with_path_and_query(world: EdgeWorld) -> None:
    with plain(world) as connection:
        reply = ask(connection, f"UR.{ZONE}:80", "/a%20b/?c=d&e")
    assert reply.status == 308
    target = f"https://ur.{ZONE}:{world.ports['https']}/a%20b/?c=d&e"
    assert reply.headers["location"] == target


def test_http_sends_nobody_to_a_name_it_does_not_know(world: EdgeWorld) -> None:
    with plain(world) as connection:
        reply = ask(connection, "evil.example", "/")
    assert (reply.status, reply.headers.get("location")) == (404, None)
    assert "لا يوجد موقع على هذا العنوان" in reply.body.decode()


def test_what_clients_claim_about_themselves_is_not_passed_on(world: EdgeWorld) -> None:
    forged = (
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-For: 7.7.7.7",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Anything: 6.6.6.6",
        "X_Forwarded_For: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "X-Request-Id: forged",
        "Proxy: http://6.6.6.6/",
    )
    with world.connect(f"ur.{ZONE}") as connection:
        reply = ask(connection, f"ur.{ZONE}", "/", *forged)
    own = f"ur.{ZONE}:{world.ports['https']}"
    assert reply.sent("x-forwarded-for") == ["127.0.0.1"]
    assert reply.sent("x-forwarded-proto") == ["https"]
    assert reply.sent("x-forwarded-host") == [own]
    assert reply.sent("host") == [own]
    assert reply.sent("x-request-id") == [reply.headers["x-request-id"]]
    for name in ("x-forwarded-anything", "x_forwarded_for", "forwarded", "x-real-ip", "proxy"):
        assert reply.sent(name) == []


@pytest.mark.parametrize("spelling", ["UR.{}", "ur.{}.", "ur.{}:443", "Ur.{}.:8443"])
def test_other_spellings_of_a_host_mean_the_same(world: EdgeWorld, spelling: str) -> None:
    with world.connect(f"ur.{ZONE}") as connection:
        assert ask(connection, spelling.format(ZONE)).asked["server"] == "ur"


@pytest.mark.parametrize("host", ["", "a b", "<script>", "ur\x00", "[::1]", "ур.localhost"])
def test_a_host_that_is_no_name_gets_a_page(world: EdgeWorld, host: str) -> None:
    with world.connect(f"ur.{ZONE}") as connection:
        reply = ask(connection, host.encode().decode("latin-1"))
    assert reply.status in {400, 421}
    assert '<html lang="ar" dir="rtl">' in reply.body.decode()
    assert "<script" not in reply.body.decode()


def test_a_host_that_the_certificate_does_not_name_is_misdirected(world: EdgeWorld) -> None:
    world.edge.ensure_route(Route("moh.gov.iq", RouteState.SERVING, world.servers["ur"]))
    with world.connect(f"ur.{ZONE}") as connection:
        assert ask(connection, f"uruk.{ZONE}").asked["server"] == "uruk"
        reply = ask(connection, "moh.gov.iq")
        assert reply.status == 421
        assert "This connection belongs to another site" in reply.body.decode()
        assert ask(connection, f"ur.{ZONE}").asked["server"] == "ur"


def test_a_name_without_a_certificate_gets_no_handshake(world: EdgeWorld) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name|handshake"):
        world.connect("moh.gov.iq")


def test_a_request_that_is_too_large_is_refused(world: EdgeWorld) -> None:
    with world.connect(f"ur.{ZONE}") as connection:
        assert ask(connection, f"ur.{ZONE}", "/", f"Cookie: {'a' * 12_000}").status == 200
    with world.connect(f"ur.{ZONE}") as connection:
        reply = ask(connection, f"ur.{ZONE}", "/", f"Cookie: {'a' * 20_000}")
    # Before there is a request to answer, haproxy 2.6 has words of its own, not ours.
    assert reply.status == 400


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_no_tunnel_is_opened_for_a_client(world: EdgeWorld, method: str) -> None:
    with world.connect(f"ur.{ZONE}") as connection:
        target = f"ur.{ZONE}:443" if method == "CONNECT" else "/"
        connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: ur.{ZONE}:443\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


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
    before = shown_key(world, f"ur.{ZONE}")
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
    assert shown_key(world, f"ur.{ZONE}") == before
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


def test_a_restart_keeps_routes_and_certificates(world: EdgeWorld) -> None:
    world.edge.ensure_route(Route(f"new.{ZONE}", RouteState.SERVING, world.servers["uruk"]))
    world.edge.ensure_route(Route(f"late.{ZONE}", RouteState.BUILDING, world.servers["ur"]))
    world.edge.remove_route(f"lagash.{ZONE}")
    world.edge.ensure_certificate(certificate(world.keyring, f"*.{ZONE}"))
    before = {route.hostname: route for route in world.edge.list_routes()}
    key = shown_key(world, f"ur.{ZONE}")
    world.stop("edge")
    world.start()
    assert {route.hostname: route for route in world.edge.list_routes()} == before
    assert shown_key(world, f"ur.{ZONE}") == key
    assert world.edge.observe(f"new.{ZONE}").status == 200
    assert world.edge.observe(f"late.{ZONE}").status == 503
    assert world.edge.observe(f"lagash.{ZONE}").status == 404


def test_what_is_asked_while_the_edge_is_down_is_there_when_it_is_back(world: EdgeWorld) -> None:
    world.stop("edge")
    try:
        for call in (
            lambda: world.edge.ensure_route(Route(f"down.{ZONE}", RouteState.BUILDING)),
            lambda: world.edge.remove_route(f"ur.{ZONE}"),
            world.edge.list_routes,
            lambda: world.edge.observe(f"ur.{ZONE}"),
        ):
            with pytest.raises(Unavailable):
                call()
    finally:
        world.start()
    assert world.edge.observe(f"down.{ZONE}").status == 503
    assert world.edge.observe(f"ur.{ZONE}").status == 404


def test_file_and_memory_say_the_same_after_callers_at_once(world: EdgeWorld) -> None:
    def work(number: int) -> None:
        route = Route(f"n{number % 7}.{ZONE}", RouteState.BUILDING, port=number + 1)
        if number % 10 == 9:
            world.edge.replace_routes([route])
        else:
            world.edge.ensure_route(route)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    running = {f"{r.hostname} {r.state}:-:{r.port}" for r in world.edge.list_routes()}
    assert len(running) == len(list(world.edge.list_routes()))
    assert running == set((world.state_dir / "routes.map").read_text().splitlines())


def test_what_a_stranger_wrote_is_replaced(world: EdgeWorld) -> None:
    wanted = sorted(world.edge.list_routes(), key=str)
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(world.admin_socket))
        admin.sendall(f"add map {world.state_dir}/routes.map evil.{ZONE} out of form\n".encode())
        admin.recv(100)
    with (world.state_dir / "routes.map").open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(Unavailable):
        world.edge.list_routes()
    world.edge.replace_routes(wanted)
    assert sorted(world.edge.list_routes(), key=str) == wanted
    assert "nonsense" not in (world.state_dir / "routes.map").read_text()


def test_ten_thousand_routes_are_replaced_exactly(world: EdgeWorld) -> None:
    routes = [
        Route(f"n{number}.{ZONE}", RouteState.SERVING, world.servers[NAMES[number % 3]])
        for number in range(10_000)
    ]
    world.edge.replace_routes(routes)
    assert set(world.edge.list_routes()) == set(routes)
    with world.connect(f"ur.{ZONE}") as connection:
        for number in (0, 4_999, 9_998):
            assert ask(connection, f"n{number}.{ZONE}").asked["server"] == NAMES[number % 3]
    world.edge.ensure_route(Route(f"one-more.{ZONE}", RouteState.BUILDING))
    assert world.edge.observe(f"one-more.{ZONE}").status == 503
    world.edge.replace_routes(routes[:1])
    assert list(world.edge.list_routes()) == routes[:1]


def test_routes_change_under_load_without_a_lost_request(world: EdgeWorld) -> None:
    done = []

    def visit(_: int) -> None:
        with world.connect(f"ur.{ZONE}") as connection:
            while not done or len(done) < 2:
                reply = ask(connection, f"ur.{ZONE}")
                assert reply.asked["server"] == "ur"
                if len(done) == 1:
                    done.append("seen after the last change")

    routes = list(world.edge.list_routes())
    more = [Route(f"n{number}.{ZONE}", RouteState.BUILDING) for number in range(2_000)]
    with ThreadPoolExecutor(2) as pool:
        visits = pool.map(visit, range(2))
        for _ in range(5):
            world.edge.replace_routes([*routes, *more])
            world.edge.replace_routes(routes)
        done.append("changed")
        list(visits)


@pytest.mark.parametrize("address", ["127.0.0.1", "172.16.0.1", "169.254.169.254", "10.0.0.1"])
def test_nothing_but_a_tenant_is_ever_asked(world: EdgeWorld, address: str) -> None:
    port = world.ports["https"]
    world.edge.ensure_route(Route(f"loop.{ZONE}", RouteState.SERVING, IPv4Address(address), port))
    start = monotonic()
    answer = world.edge.observe(f"loop.{ZONE}")
    assert answer.status == 503
    assert "This site is not available right now" in answer.body.decode()
    assert monotonic() - start < 2.0  # less than one time-out of a connection


def test_a_visit_ends_even_if_the_server_never_does(world: EdgeWorld) -> None:
    start = monotonic()
    with pytest.raises(Unavailable):
        world.edge_seen_by(world.folder / "ca.pem", 1.0).observe(f"ur.{ZONE}", "/drip")
    assert monotonic() - start < 5.0  # the server would take 100 seconds


def test_haproxy_has_no_rights(world: EdgeWorld) -> None:
    process = Path("/proc") / str(world.processes["edge"].pid)
    lines = (process / "status").read_text().splitlines()
    status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    assert status["Name"] == ["haproxy"]
    assert status["Uid"] == [str(EDGE_UID)] * 4
    assert status["Gid"] == [str(EDGE_UID)] * 4
    assert status["Groups"] == []
    assert status["NoNewPrivs"] == ["1"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name][0], 16) == 0, name
    here = Path("/proc/self/ns/net").readlink()
    assert (process / "ns/net").readlink() != here
    assert (process / "environ").read_bytes().count(b"\0") == 6


def test_the_limit_of_connections_fits_the_descriptors(world: EdgeWorld) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", _SHOW_INFO, str(world.admin_socket)], check=True, capture_output=True
    ).stdout.decode()
    info = dict(line.split(": ", 1) for line in shown.splitlines() if ": " in line)
    assert int(info["Maxconn"]) * 2 < int(info["Ulimit-n"])


_SHOW_INFO = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"show info\\n")
print(b"".join(iter(lambda: s.recv(65536), b"")).decode())
"""


def test_only_the_worker_uses_the_admin_socket(world: EdgeWorld) -> None:
    assert can_run(world, WORKER_UID, _SHOW_INFO, str(world.admin_socket))
    assert not can_run(world, EDGE_UID, _SHOW_INFO, str(world.admin_socket))
    assert not can_run(world, 65_534, _SHOW_INFO, str(world.admin_socket))


def test_keys_are_read_by_the_edge_and_written_by_the_worker_only(world: EdgeWorld) -> None:
    found = world.state_dir.stat()
    assert (found.st_uid, found.st_gid) == (WORKER_UID, EDGE_UID)
    assert stat.S_IMODE(found.st_mode) == 0o2751
    key = next((world.state_dir / "certs").glob("_.*.pem"))
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    assert key.stat().st_gid == EDGE_UID
    read, write = "import sys; open(sys.argv[1])", "import sys; open(sys.argv[1] + '.new', 'w')"
    routes = str(world.state_dir / "routes.map")
    assert can_run(world, EDGE_UID, read, str(key))
    assert not can_run(world, 65_534, read, str(key))
    assert not can_run(world, EDGE_UID, write, routes)
    assert can_run(world, WORKER_UID, write, routes)
    assert not can_run(world, EDGE_UID, write, str(world.folder / "etc" / "haproxy.cfg"))
    Path(f"{routes}.new").unlink()


def test_the_worker_needs_no_other_right_than_its_own(world: EdgeWorld) -> None:
    for path in (world.state_dir / "certs", *world.state_dir.rglob("*")):
        os.chown(path, WORKER_UID, EDGE_UID)
    host = f"by-worker.{ZONE}"

    def work() -> None:
        world.edge.ensure_route(Route(host, RouteState.BUILDING))
        routes = [*world.edge.list_routes(), Route(host, RouteState.SUSPENDED)]
        world.edge.replace_routes(routes)
        for name in (f"*.{ZONE}", "worker.example.iq"):
            world.edge.ensure_certificate(certificate(MemoryKeyring(), name))

    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(WORKER_UID, WORKER_UID, WORKER_UID)
            os.setresuid(WORKER_UID, WORKER_UID, WORKER_UID)
            work()
        except BaseException:  # noqa: BLE001  # a forked test must end here, whatever happens
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    world.stop("edge")
    world.start()  # haproxy can read all of it
    world.edge.ensure_certificate(certificate(world.keyring, f"*.{ZONE}"))
    assert "suspended" in world.edge.observe(host).body.decode()


def can_run(world: EdgeWorld, uid: int, program: str, *arguments: str) -> bool:
    """Whether somebody with this uid, its own group and nothing else succeeds."""
    who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    command = [*who, "/usr/bin/python3", "-I", "-c", program, *arguments]
    return subprocess.run(command, cwd="/", check=False, capture_output=True).returncode == 0


def test_measures_are_on_loopback_and_nowhere_else(world: EdgeWorld) -> None:
    world.edge.observe(f"ur.{ZONE}")
    with urlopen(f"http://127.0.0.1:{world.ports['metrics']}/metrics", timeout=10) as answer:
        assert b'haproxy_frontend_http_requests_total{proxy="https"}' in answer.read()
    assert b"haproxy_" not in world.edge.observe(f"ur.{ZONE}", "/metrics").body
    wide = [*world.launcher, "--metrics", "0.0.0.0:0"]
    refused = subprocess.run(wide, check=False, capture_output=True)
    assert refused.returncode == 1
    assert b"for this machine only" in refused.stderr


def test_a_failure_is_logged_without_saying_who_asked(world: EdgeWorld) -> None:
    answer = world.edge.observe(f"ur.{ZONE}", "/status/500")
    world.edge.observe(f"ur.{ZONE}")
    log = world.folder / "edge.log"
    wait_until(lambda: answer.headers["x-request-id"] in log.read_text())
    line = json.loads(log.read_text().splitlines()[-1])
    assert line.pop("ms") >= 0
    assert line == {
        "event": "edge_request",
        "request": answer.headers["x-request-id"],
        "host": f"ur.{ZONE}",
        "status": 500,
        "ended": "--",
    }


def test_an_edge_that_stops_politely_finishes_what_it_began(world: EdgeWorld) -> None:
    with world.connect(f"ur.{ZONE}") as connection:
        connection.sendall(f"GET /drip HTTP/1.1\r\nHost: ur.{ZONE}\r\n\r\n".encode())
        wait_until(lambda: b"HTTP/1.1 200" in connection.recv(1000))
        world.processes["edge"].send_signal(10)  # SIGUSR1
        got = b"".join(connection.recv(1) for _ in range(10))
        assert got == b"." * 10
    assert world.processes["edge"].wait(timeout=20) == 0
    del world.processes["edge"]
    world.start()
