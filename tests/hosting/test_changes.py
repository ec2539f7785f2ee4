"""What is there changes, pauses, ends and comes back, and nothing that was stored is lost."""

from datetime import timedelta
from typing import Any

from sqlmodel import Session

from control_plane.blueprints.models import Price
from control_plane.engine.lives import find_life
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import LIFE, HostingStatus
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.ports.cloud.memory import Server
from control_plane.ports.cloud.port import Image, ServerState
from control_plane.tenancy import queries
from control_plane.tenancy.rules import Resource
from tests.centre import Centre
from tests.offer import a_wish

PAGE = b"<h1>kept</h1>"


def _live(centre: Centre) -> Hosting:
    hosting = centre.active()
    centre.deploy(hosting.id, index_html=PAGE)
    return _settled(centre, hosting, 20)


def _settled(centre: Centre, hosting: Hosting, at: int) -> Hosting:
    for seconds in range(at, at + 9, 2):
        centre.settle(timedelta(seconds=seconds))
    return centre.read(hosting.id)


def _ask(centre: Centre, hosting: Hosting, verb: str, **said: Any) -> dict[str, Any]:
    answer = centre.owner.post(f"/v1/hostings/{hosting.id}/{verb}", said)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _refusal(centre: Centre, hosting: Hosting, verb: str, **said: Any) -> tuple[int, str]:
    answer = centre.owner.post(f"/v1/hostings/{hosting.id}/{verb}", said)
    return answer.status_code, answer.json().get("code", "")


def _status_of(centre: Centre, request: dict[str, Any]) -> str:
    shown = centre.owner.get(f"/v1/requests/{request['id']}").json()
    return str(shown["status"])


def _used(centre: Centre, hosting: Hosting) -> dict[Resource, int]:
    with centre.api.db.read() as session:
        used = queries.used_by(session, hosting.agency_id)
        return {resource: sum(amounts.values()) for resource, amounts in used.items()}


def _server(centre: Centre, hosting: Hosting) -> Server:
    found: list[Server] = []
    centre.cloud.sabotage(hosting.id, found.append)
    return found[0]


def test_a_larger_size_is_reserved_approved_and_made_with_all_content(centre: Centre) -> None:
    hosting = _live(centre)
    before = _used(centre, hosting)
    request = _ask(centre, hosting, "change", size="large", reason="exam results")
    held = _used(centre, hosting)
    assert held[Resource.MEMORY_MIB] == before[Resource.MEMORY_MIB] + 256
    assert held[Resource.SERVERS] == before[Resource.SERVERS]
    assert request["plan"]["body"]["change"][0]["to"]["memory_mib"] == 512
    assert _server(centre, hosting).spec.limits.memory_mib == 256

    centre.approve(request["id"])
    after = _settled(centre, hosting, 40)

    assert (after.size, after.status) == ("large", HostingStatus.ACTIVE)
    assert after.observed_generation == after.generation > hosting.generation
    assert _server(centre, hosting).spec.limits.memory_mib == 512
    assert centre.front_page() == PAGE
    assert _status_of(centre, request) == "fulfilled"
    assert _used(centre, hosting) == held
    shown = centre.owner.get(f"/v1/hostings/{hosting.id}").json()
    assert shown["cost"]["micros_per_hour"] == 36_000_000


def test_rolling_to_a_newer_image_is_a_plan_and_keeps_all_content(centre: Centre) -> None:
    hosting = _live(centre)
    newer = Image("static-site", "sha256:" + "e" * 64)
    centre.cloud._images = (newer, *centre.cloud._images)
    _settled(centre, hosting, 75)  # the region looks what images there are, if it just has, too
    assert _server(centre, hosting).spec.image == hosting.image_digest != newer.digest

    request = _ask(centre, hosting, "change", image="newest")
    [change] = request["plan"]["body"]["change"]
    told = (change["what"], change["from"], change["to"])
    assert told == ("image", hosting.image_digest, newer.digest)
    assert request["status"] == "approved"  # by the policy: it costs nothing more
    after = _settled(centre, hosting, 120)

    assert (after.image_digest, after.status) == (newer.digest, HostingStatus.ACTIVE)
    assert _server(centre, hosting).spec.image == newer.digest
    assert centre.front_page() == PAGE
    assert _status_of(centre, request) == "fulfilled"


def test_a_refused_change_gives_back_what_it_held_and_changes_nothing(centre: Centre) -> None:
    hosting = _live(centre)
    before = _used(centre, hosting)
    request = _ask(centre, hosting, "change", size="large")
    assert _refusal(centre, hosting, "change", size="large") == (409, "request_open")
    no = centre.operator.post(f"/v1/requests/{request['id']}/reject", {"reason": "too much"})
    assert no.status_code == 200, no.text

    assert _settled(centre, hosting, 40).size == "medium"
    assert _used(centre, hosting) == before


def test_a_change_whose_price_rose_meanwhile_is_decided_anew(centre: Centre) -> None:
    hosting = _live(centre)
    request = _ask(centre, hosting, "change", size="large")
    centre.approve(request["id"])
    with centre.api.db.begin() as session:
        _raise_price(session)
    after = _settled(centre, hosting, 40)

    assert after.size == "medium"
    shown = centre.owner.get(f"/v1/requests/{request['id']}").json()
    assert (shown["status"], shown["version"]) == ("submitted", 2)
    assert shown["plan"]["cost"]["micros_per_hour"] == 37_000_000
    centre.approve(request["id"])
    assert _settled(centre, hosting, 60).size == "large"
    assert _used(centre, hosting)[Resource.COST] == 37_000_000


def test_a_new_title_costs_nothing_and_a_smaller_disk_is_refused(centre: Centre) -> None:
    hosting = _live(centre)
    assert _refusal(centre, hosting, "change", size="small") == (409, "disk_cannot_shrink")
    assert _refusal(centre, hosting, "change", title=hosting.title) == (409, "nothing_to_change")
    assert _refusal(centre, hosting, "change", size="huge")[1] == "size_unknown"
    request = _ask(centre, hosting, "change", title="وزارة الصحة والبيئة")
    assert request["status"] == "approved"  # by the policy
    assert _settled(centre, hosting, 40).title == "وزارة الصحة والبيئة"


def test_a_suspended_site_shows_a_page_and_comes_back_as_it_was(centre: Centre) -> None:
    hosting = _live(centre)
    shown = _ask(centre, hosting, "suspend", reason="under investigation")
    assert (shown["status"], shown["suspended_why"]) == ("active", "under investigation")
    closed = _settled(centre, hosting, 40)

    assert closed.status == HostingStatus.SUSPENDED
    assert closed.observed_generation == closed.generation
    [route] = centre.edge.list_routes()
    assert centre.edge.observe(route.hostname).status == 503
    assert centre.cloud.observe_server(hosting.id).state == ServerState.STOPPED
    assert _refusal(centre, hosting, "change", size="large") == (409, "hosting_not_changeable")
    assert _used(centre, hosting)[Resource.SERVERS] == 1

    _ask(centre, hosting, "resume")
    assert _settled(centre, hosting, 90).status == HostingStatus.ACTIVE
    assert centre.front_page() == PAGE
    assert _refusal(centre, hosting, "resume") == (409, "hosting_not_suspended")


def test_what_the_data_centre_closed_its_agency_cannot_open(centre: Centre) -> None:
    hosting = _live(centre)
    place = f"/v1/hostings/{hosting.id}"
    assert centre.operator.post(f"{place}/suspend", {"reason": "abuse"}).status_code == 202
    _settled(centre, hosting, 40)
    assert _refusal(centre, hosting, "resume") == (403, "suspended_by_centre")
    assert centre.operator.post(f"{place}/resume", {"reason": "mended"}).status_code == 202
    assert _settled(centre, hosting, 90).status == HostingStatus.ACTIVE


def test_a_suspended_hosting_can_end(centre: Centre) -> None:
    hosting = _live(centre)
    _ask(centre, hosting, "suspend", reason="summer")
    _settled(centre, hosting, 40)
    _ask(centre, hosting, "end", reason="never again")
    assert _settled(centre, hosting, 90).status == HostingStatus.ENDED


def test_one_command_brings_back_what_ended_with_content_and_name(centre: Centre) -> None:
    hosting = _live(centre)
    used = _used(centre, hosting)
    _ask(centre, hosting, "end", reason="by mistake")
    ended = _settled(centre, hosting, 40)
    assert (ended.status, _used(centre, hosting)[Resource.SERVERS]) == (HostingStatus.ENDED, 0)
    assert list(centre.edge.list_routes()) == []

    request = _ask(centre, hosting, "restore", reason="ended by mistake")
    after = _settled(centre, hosting, 60)

    assert after.status == HostingStatus.ACTIVE
    assert (after.ended_at, after.purge_after) == (None, None)
    assert centre.front_page() == PAGE
    assert _status_of(centre, request) == "fulfilled"
    assert _used(centre, hosting) == used
    for days in (29, 31, 40):
        centre.settle(timedelta(days=days))
    assert centre.read(hosting.id).status == HostingStatus.ACTIVE


def test_a_name_that_was_given_away_meanwhile_stops_the_return(centre: Centre) -> None:
    hosting = _live(centre)
    _ask(centre, hosting, "end", reason="moved")
    _settled(centre, hosting, 40)
    answer = centre.owner.post("/v1/requests", a_wish())
    assert answer.status_code == 202, answer.text
    assert _refusal(centre, hosting, "restore") == (409, "hosting_name_taken")
    assert centre.read(hosting.id).status == HostingStatus.ENDED


def test_what_was_destroyed_does_not_come_back(centre: Centre) -> None:
    hosting = _live(centre)
    _ask(centre, hosting, "end", reason="over")
    for days in (0, 31, 32, 33):
        centre.settle(timedelta(days=days, seconds=40))
    assert centre.read(hosting.id).status == HostingStatus.PURGED
    assert _refusal(centre, hosting, "restore") == (409, "hosting_not_restorable")


def test_a_return_that_is_approved_while_the_data_rests_fences_the_step_that_runs(
    centre: Centre,
) -> None:
    hosting = _live(centre)
    _ask(centre, hosting, "end", reason="over")
    _settled(centre, hosting, 40)
    with centre.api.db.read() as session:
        life = find_life(session, LIFE.kind, hosting.id)
        assert life is not None
    with clock.shifted(timedelta(days=2)):
        claimed = centre.engine._claim(life.id)
        assert claimed is not None
    _ask(centre, hosting, "restore")
    assert not centre.engine._run(*claimed)
    with centre.api.db.read() as session:
        life = find_life(session, LIFE.kind, hosting.id)
        assert life is not None
        assert (life.step, life.is_winding_down) == ("announce", False)


def test_a_change_that_waits_is_given_up_with_its_hosting(centre: Centre) -> None:
    hosting = _live(centre)
    request = _ask(centre, hosting, "change", size="large")
    ended = _refusal(centre, hosting, "end", reason="over")
    assert ended[0] == 202
    _settled(centre, hosting, 40)
    assert _status_of(centre, request) == "abandoned"
    assert not any(_used(centre, hosting).values())


def _raise_price(session: Session) -> None:
    session.add(
        Price(
            id=new_id("prc"),
            blueprint="static-site",
            size="large",
            currency="IQD",
            micros_per_hour=37_000_000,
            effective_from=clock.now(),
        )
    )
