"""All that happens to a data centre in these tests, from its first second to its last.

Each scene is something that people, time or accidents do; then the lives run until they rest.
Whoever adds a flow, a step or a verb adds the scene in which it is seen: a test says so.

On real machines some of it can't be played: they keep their own clock, and lose their isolation in
ways that are mended before they are probed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from control_plane.blueprints.models import Price
from control_plane.hosting.rules import AttachmentStatus, HostingStatus
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from tests.faults.centre import QuietCentre
from tests.faults.world import World

A_MOMENT = timedelta(seconds=1)
A_WHILE = timedelta(minutes=6)  # so that whoever watches looks again
OLD_SITE = {"index.html": b"<h1>Ur</h1>", "a/map.svg": b"<svg/>" * 99, "404.html": b"lost"}
NEW_SITE = {**OLD_SITE, "index.html": b"<h1>Uruk</h1>", "دليل/جواز.html": "جواز".encode()}
WITHOUT_INDEX = {"home.html": b"there is no index.html"}


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that happens, some time after the scene before."""

    name: str
    happens: Callable[[QuietCentre], object]
    later: timedelta = A_MOMENT
    is_on_machines: bool = True
    has_kills: bool = True  # not where all that happens has been killed in the same way before


def _open(centre: QuietCentre) -> None:
    centre.open()


def _request(centre: QuietCentre) -> None:
    centre.request("website")
    centre.request("other", "small")
    centre.withdraw(centre.request("mistake"))


def _change_the_offer(centre: QuietCentre) -> None:
    centre.world.offer_newer_image()
    with centre.db.begin() as session:
        price = Price(
            id=new_id("prc"),
            blueprint="static-site",
            size="medium",
            currency="IQD",
            micros_per_hour=17_000_000,
            effective_from=clock.now(),
        )
        session.add(price)


def _approve(centre: QuietCentre) -> None:
    centre.approve(centre.request_of("website"))


def _is_live(centre: QuietCentre) -> None:
    assert centre.hosting("website").status == HostingStatus.ACTIVE


def _deploy(site: dict[str, bytes]) -> Callable[[QuietCentre], None]:
    def act(centre: QuietCentre) -> None:
        _is_live(centre)
        centre.deploy("website", site)

    return act


def _roll_back(centre: QuietCentre) -> None:
    _is_live(centre)
    centre.roll_back("website")


def _befall(accident: Callable[[World, str], None]) -> Callable[[QuietCentre], None]:
    def act(centre: QuietCentre) -> None:
        _is_live(centre)
        accident(centre.world, centre.hosting("website").id)

    return act


def _stop(world: World, server_id: str) -> None:
    world.stop_server(server_id)


def _lose(world: World, server_id: str) -> None:
    world.lose_server(server_id)


def _change(world: World, server_id: str) -> None:
    world.change_inside(server_id)


def _speak(world: World, server_id: str) -> None:
    world.speak(server_id)


def _leak(world: World, server_id: str) -> None:
    world.lose_isolation(server_id)


def _lose_route(centre: QuietCentre) -> None:
    for route in centre.world.edge.list_routes():
        centre.world.edge.remove_route(route.hostname)


def _leave_garbage(centre: QuietCentre) -> None:
    # As if a collector had died before it could decide: one of them is in use again.
    for content in (OLD_SITE["404.html"], WITHOUT_INDEX["home.html"]):
        centre.world.blobs.retire(sha256(content).hexdigest())
    centre.upload(b"never released")


def _nothing(_centre: QuietCentre) -> None:
    pass


def _ask_for_more(centre: QuietCentre) -> None:
    centre.approve(centre.change("other", "medium"))


def _suspend(centre: QuietCentre) -> None:
    assert centre.hosting("other").size == "medium"
    centre.suspend("other")


def _resume(centre: QuietCentre) -> None:
    assert centre.hosting("other").status == HostingStatus.SUSPENDED
    centre.resume("other")


def _bring_back(centre: QuietCentre) -> None:
    assert centre.hosting("other").status == HostingStatus.ENDED
    centre.restore("other")


def _end_again(centre: QuietCentre) -> None:
    assert centre.hosting("other").status == HostingStatus.ACTIVE
    centre.end("other")


def _ask_for_a_database(centre: QuietCentre) -> None:
    centre.approve(centre.request("records", blueprint="postgres-database"))


def _ask_for_an_application(centre: QuietCentre) -> None:
    application = {"application": "portal.wsgi:application"}
    centre.approve(centre.request("portal", blueprint="python-app", inputs=application))


def _attach(centre: QuietCentre) -> None:
    centre.attach("portal", "records")


def _detach(centre: QuietCentre) -> None:
    assert [one.status for one in centre.attachments("portal")] == [AttachmentStatus.LIVE]
    centre.detach("portal")


def _end_the_application(centre: QuietCentre) -> None:
    assert [one.status for one in centre.attachments("portal")] == [AttachmentStatus.LIVE]
    for name in ("portal", "records"):
        centre.end(name)


def _end(centre: QuietCentre) -> None:
    for name in ("website", "other"):
        assert centre.hosting(name).status == HostingStatus.ACTIVE
        centre.end(name)


def _close(centre: QuietCentre) -> None:
    for name in ("website", "other"):
        assert centre.hosting(name).status == HostingStatus.PURGED
    for kind in ("region", "edge", "gc"):
        centre.ask_to_end(kind)


STORY = (
    Scene("the data centre opens", _open),
    Scene("sites are asked for, one by mistake", _request),
    Scene("there is a newer image, and a new price", _change_the_offer, A_WHILE),
    Scene("what was asked for is approved, and comes back with the new price", _approve),
    Scene("the new plan is approved", _approve),
    Scene("a site is released", _deploy(OLD_SITE)),
    Scene("some of it is released anew", _deploy(NEW_SITE)),
    Scene("its services write", _befall(_speak), A_WHILE, is_on_machines=False),
    Scene("it is rolled back", _roll_back),
    Scene("a release without its page is refused", _deploy(WITHOUT_INDEX)),
    Scene("the server stops", _befall(_stop), A_WHILE),
    Scene("the server vanishes with its data", _befall(_lose), A_WHILE),
    Scene("somebody changes the server by hand", _befall(_change), A_WHILE, is_on_machines=False),
    Scene("the edge forgets its routes", _lose_route, A_WHILE),
    Scene("the isolation fails", _befall(_leak), A_WHILE, is_on_machines=False),
    Scene("the isolation is mended", _nothing, A_WHILE, is_on_machines=False),
    Scene("garbage lies about", _leave_garbage, timedelta(days=8)),
    Scene("a site is asked to be larger", _ask_for_more),
    Scene("it is closed", _suspend),
    Scene("it is opened again", _resume),
    Scene("a database is asked for", _ask_for_a_database, is_on_machines=False, has_kills=False),
    Scene(
        "an application is asked for",
        _ask_for_an_application,
        is_on_machines=False,
        has_kills=False,
    ),
    Scene("they are attached", _attach, is_on_machines=False),
    Scene("they are detached", _detach, A_WHILE, is_on_machines=False),
    Scene("they are attached again", _attach, is_on_machines=False),
    Scene("both are ended as they are", _end_the_application, A_WHILE, is_on_machines=False),
    Scene("the sites are ended", _end),
    Scene("one comes back", _bring_back),
    Scene("and is ended again", _end_again),
    Scene("their data has been kept long enough", _nothing, timedelta(days=31)),
    Scene("the certificate runs out", _nothing, timedelta(days=60), is_on_machines=False),
    Scene("the data centre closes", _close),
)
