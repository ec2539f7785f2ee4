"""What only a real edge can show: connections, routes, restarts."""

import json
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from time import monotonic
from typing import Any

import pytest

from control_plane.kit.errors import Unavailable
from control_plane.ports.edge.port import Route, RouteState
from tests.edge.world import (
    NAMES,
    ZONE,
    EdgeWorld,
    ask,
    certificate,
)
from tests.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow]


def plain(world: EdgeWorld) -> socket.socket:
    return socket.create_connection(("127.0.0.1", world.ports["http"]), 10)


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


def test_a_restart_keeps_routes_and_certificates(world: EdgeWorld) -> None:
    world.edge.ensure_route(Route(f"new.{ZONE}", RouteState.SERVING, world.servers["uruk"]))
    world.edge.ensure_route(Route(f"late.{ZONE}", RouteState.BUILDING, world.servers["ur"]))
    world.edge.remove_route(f"lagash.{ZONE}")
    world.edge.ensure_certificate(certificate(world.keyring, f"*.{ZONE}"))
    before = {route.hostname: route for route in world.edge.list_routes()}
    key = world.shown_certificate(f"ur.{ZONE}")
    world.stop("edge")
    world.start()
    assert {route.hostname: route for route in world.edge.list_routes()} == before
    assert world.shown_certificate(f"ur.{ZONE}") == key
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
    done: list[str] = []

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


def test_a_failure_is_logged_without_saying_who_asked(world: EdgeWorld) -> None:
    answer = world.edge.observe(f"ur.{ZONE}", "/status/500")
    world.edge.observe(f"ur.{ZONE}")
    line = logged(world, answer.headers["x-request-id"])
    assert line.pop("ms") >= 0
    assert line == {
        "event": "edge_request",
        "request": answer.headers["x-request-id"],
        "host": f"ur.{ZONE}",
        "status": 500,
        "ended": "--",
    }
    before = len(log_of(world))
    with pytest.raises(ssl.SSLError):
        world.connect("moh.gov.iq")
    line = logged(world, "edge_connection_failed", before)
    assert line["reason"] == "SSL handshake failure"
    assert not any("127.0.0.1" in line for line in log_of(world))


def log_of(world: EdgeWorld) -> list[str]:
    return (world.folder / "edge.log").read_text().rpartition("\n")[0].splitlines()


def logged(world: EdgeWorld, part: str, before: int = 0) -> dict[str, Any]:
    """Wait for a line of the log that has this; lines about something else may come after it."""
    wait_until(lambda: any(part in line for line in log_of(world)[before:]))
    found: dict[str, Any] = json.loads(next(x for x in log_of(world)[before:] if part in x))
    return found


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
