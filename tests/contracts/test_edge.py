"""What every edge keeps: one suite, memory and a real haproxy in its own namespace."""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest

from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.edge.memory import MemoryEdge
from control_plane.ports.edge.port import Answer, Edge, Route, RouteState
from control_plane.ports.keyring.memory import MemoryKeyring
from tests.edge.world import NAMES, ZONE, certificate, running_world

HOST = f"health.{ZONE}"


@dataclass
class MemoryWorld:
    """The memory edge with three servers that are dictionaries."""

    servers: dict[str, IPv4Address] = field(
        default_factory=lambda: {
            name: IPv4Address("100.64.0.2") + 4 * number
            for number, name in enumerate(NAMES, start=1)
        }
    )

    def __post_init__(self) -> None:
        self.edge = MemoryEdge(self._serve)
        self.edge.ensure_certificate(certificate(MemoryKeyring(ZONE), f"*.{ZONE}"))
        self.running = set(NAMES)

    def stop(self, name: str) -> None:
        self.running.remove(name)

    def start_server(self, name: str) -> None:
        self.running.add(name)

    def _serve(
        self, address: IPv4Address, _: int, path: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        name = {known: name for name, known in self.servers.items()}.get(address)
        if name not in self.running:
            raise ConnectionRefusedError(address)
        status = int(path.removeprefix("/status/")) if "/status/" in path else 200
        body = (
            b"x" * 200_000
            if path == "/big"
            else json.dumps({"server": name, "path": path}).encode()
        )
        return status, {"Content-Type": "application/json"}, body


@contextmanager
def memory_world() -> Iterator[MemoryWorld]:
    yield MemoryWorld()


@pytest.fixture(
    scope="module",
    params=["memory", pytest.param("haproxy", marks=[pytest.mark.root, pytest.mark.slow])],
)
def any_world(request: pytest.FixtureRequest) -> Iterator[object]:
    with memory_world() if request.param == "memory" else running_world() as world:
        yield world


@pytest.fixture
def world(any_world: MemoryWorld) -> MemoryWorld:
    any_world.edge.replace_routes([])
    return any_world


@pytest.fixture
def edge(world: MemoryWorld) -> Edge:
    return world.edge


def served_by(answer: Answer) -> str:
    assert answer.status == 200, answer
    name: str = json.loads(answer.body)["server"]
    return name


def by_name(routes: list[Route]) -> list[Route]:
    return sorted(routes, key=lambda route: route.hostname)


def test_a_hostname_is_served_by_its_server(world: MemoryWorld) -> None:
    for name in NAMES:
        host = f"{name}.{ZONE}"
        world.edge.ensure_route(Route(host, RouteState.SERVING, world.servers[name]))
    for name in NAMES:
        assert served_by(world.edge.observe(f"{name}.{ZONE}", "/a?b=c")) == name


def test_a_route_moves_to_another_server_at_once(world: MemoryWorld) -> None:
    for name in (*NAMES, *NAMES):
        world.edge.ensure_route(Route(HOST, RouteState.SERVING, world.servers[name]))
        assert served_by(world.edge.observe(HOST)) == name
    assert len(list(world.edge.list_routes())) == 1


def test_an_unknown_hostname_gets_a_page_that_says_so(edge: Edge) -> None:
    answer = edge.observe(f"nobody.{ZONE}")
    assert answer.status == 404
    check_page(answer, "لا يوجد موقع على هذا العنوان", "There is no site at this address")


@pytest.mark.parametrize(
    ("state", "retry_after", "arabic", "english"),
    [
        (RouteState.BUILDING, "30", "هذا الموقع قيد الإعداد", "This site is being prepared"),
        (RouteState.SUSPENDED, None, "هذا الموقع موقوف حالياً", "This site is suspended for now"),
        (
            RouteState.FAILED,
            None,
            "هذا الموقع غير متاح الآن",
            "This site is not available right now",
        ),
    ],
)
def test_a_site_that_is_not_served_says_why(
    world: MemoryWorld, state: RouteState, retry_after: str | None, arabic: str, english: str
) -> None:
    for address in (None, world.servers["ur"]):
        world.edge.ensure_route(Route(HOST, state, address))
        answer = world.edge.observe(HOST, "/any/where")
        assert answer.status == 503
        assert answer.headers.get("retry-after") == retry_after
        check_page(answer, arabic, english)


def check_page(answer: Answer, arabic: str, english: str) -> None:
    html = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert html.startswith('<!doctype html><html lang="ar" dir="rtl">')
    assert html.index(f"<h1>{arabic}</h1>") < html.index(f"<h2>{english}</h2>")
    assert '<section lang="en" dir="ltr">' in html
    assert answer.headers["x-request-id"] in html
    style = html.split("<style>")[1].split("</style>")[0].encode()
    digest = b64encode(hashlib.sha256(style).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]
    assert not re.search(r"https?:|<script|url\(|src=|%%|%\[", html)


def test_states_follow_each_other_without_delay(world: MemoryWorld) -> None:
    for state, status in (
        (RouteState.BUILDING, 503),
        (RouteState.SERVING, 200),
        (RouteState.SUSPENDED, 503),
        (RouteState.SERVING, 200),
    ):
        world.edge.ensure_route(Route(HOST, state, world.servers["ur"]))
        assert world.edge.observe(HOST).status == status


def test_a_removed_hostname_is_unknown_again(world: MemoryWorld) -> None:
    world.edge.ensure_route(Route(HOST, RouteState.SERVING, world.servers["ur"]))
    world.edge.remove_route(HOST)
    world.edge.remove_route(HOST)
    assert world.edge.observe(HOST).status == 404
    assert list(world.edge.list_routes()) == []


def test_replacing_adds_what_lacks_and_removes_what_is_foreign(world: MemoryWorld) -> None:
    foreign = Route(f"foreign.{ZONE}", RouteState.BUILDING)
    kept = Route(f"kept.{ZONE}", RouteState.SERVING, world.servers["ur"], 80)
    changed = Route(f"changed.{ZONE}", RouteState.SERVING, world.servers["uruk"])
    for route in (foreign, kept, Route(changed.hostname, RouteState.BUILDING)):
        world.edge.ensure_route(route)
    wanted = [kept, changed, Route(f"new.{ZONE}", RouteState.FAILED, None, 8080)]
    for _ in range(2):
        world.edge.replace_routes(wanted)
        assert by_name(list(world.edge.list_routes())) == by_name(wanted)
    assert served_by(world.edge.observe(kept.hostname)) == "ur"
    assert served_by(world.edge.observe(changed.hostname)) == "uruk"
    assert world.edge.observe(foreign.hostname).status == 404


@pytest.mark.parametrize(
    "hostname",
    [
        "",
        "edubba",
        "100.64.0.6",
        "Health.edubba.localhost",
        "health.edubba.localhost.",
        "health..localhost",
        "-a.localhost",
        "a_b.localhost",
        "صحة.localhost",
        f"{'a' * 64}.localhost",
        f"{'a.' * 130}localhost",
        "*.edubba.localhost",
        "health.edubba.localhost:443",
        "health.edubba.localhost serving:100.64.0.6:80",
        "health.edubba.localhost;disable frontend https",
        "health.edubba.localhost\nshutdown sessions server servers/any",
        "health.edubba.localhost\n",
        "<<\nhealth.edubba.localhost",
        "../../etc/passwd",
    ],
)
def test_a_hostname_that_could_mean_something_else_is_refused(edge: Edge, hostname: str) -> None:
    for call in (
        lambda: edge.ensure_route(Route(hostname, RouteState.BUILDING)),
        lambda: edge.replace_routes([Route(hostname, RouteState.BUILDING)]),
        lambda: edge.remove_route(hostname),
        lambda: edge.observe(hostname),
    ):
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == "hostname_malformed"
    assert list(edge.list_routes()) == []


@pytest.mark.parametrize("path", ["", "a", "/a b", "/a\r\nX-Evil: 1", "/صفحة", "http://x/"])
def test_a_path_that_could_mean_something_else_is_refused(edge: Edge, path: str) -> None:
    with pytest.raises(Refused) as caught:
        edge.observe(HOST, path)
    assert caught.value.code == "path_malformed"


def test_a_route_needs_where_to_go(world: MemoryWorld) -> None:
    for route in (
        Route(HOST, RouteState.SERVING),
        Route(HOST, RouteState.SERVING, world.servers["ur"], 0),
        Route(HOST, RouteState.SERVING, world.servers["ur"], 65_536),
    ):
        with pytest.raises(Refused) as caught:
            world.edge.ensure_route(route)
        assert caught.value.code == "route_incomplete"


def test_a_server_that_is_gone_gets_a_page_and_comes_back(world: MemoryWorld) -> None:
    world.edge.ensure_route(Route(HOST, RouteState.SERVING, world.servers["lagash"]))
    world.stop("lagash")
    answer = world.edge.observe(HOST)
    assert answer.status == 503
    check_page(answer, "لم يستجب هذا الموقع", "This site did not answer")
    world.start_server("lagash")
    assert served_by(world.edge.observe(HOST)) == "lagash"


def test_a_servers_own_errors_are_its_own_words(world: MemoryWorld) -> None:
    world.edge.ensure_route(Route(HOST, RouteState.SERVING, world.servers["ur"]))
    for status in (404, 500, 502, 503, 504):
        answer = world.edge.observe(HOST, f"/status/{status}")
        assert answer.status == status
        assert json.loads(answer.body)["server"] == "ur"


def test_an_answer_is_cut_at_64_kib(world: MemoryWorld) -> None:
    world.edge.ensure_route(Route(HOST, RouteState.SERVING, world.servers["ur"]))
    assert world.edge.observe(HOST, "/big").body == b"x" * 65_536


def test_every_answer_has_hsts_and_an_id_of_its_own(world: MemoryWorld) -> None:
    world.edge.ensure_route(Route(HOST, RouteState.SERVING, world.servers["ur"]))
    answers = [world.edge.observe(host) for host in (HOST, HOST, f"nobody.{ZONE}")]
    assert {a.headers["strict-transport-security"] for a in answers} == {"max-age=31536000"}
    assert len({a.headers["x-request-id"] for a in answers}) == 3
    assert all(name == name.lower() for a in answers for name in a.headers)


def test_a_name_without_a_certificate_is_not_answered(edge: Edge) -> None:
    for host in ("moh.gov.iq", f"a.b.{ZONE}"):
        edge.ensure_route(Route(host, RouteState.BUILDING))
        with pytest.raises(Unavailable):
            edge.observe(host)


def test_callers_at_once_lose_nothing(world: MemoryWorld) -> None:
    names = [f"n{number}.{ZONE}" for number in range(60)]
    address = world.servers["ur"]

    def work(name: str) -> None:
        world.edge.ensure_route(Route(name, RouteState.BUILDING))
        world.edge.ensure_route(Route(name, RouteState.SERVING, address))
        if name.startswith("n1"):
            world.edge.remove_route(name)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, names * 2))
    left = [Route(n, RouteState.SERVING, address) for n in names if not n.startswith("n1")]
    assert by_name(list(world.edge.list_routes())) == by_name(left)
