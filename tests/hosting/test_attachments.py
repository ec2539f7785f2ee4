"""An application is attached to a database of its tenant: in memory, on both databases."""

import json
from typing import Any

import pytest

from control_plane.engine import lives
from control_plane.hosting.models import Attachment
from control_plane.hosting.rules import LIFE, AttachmentStatus, HostingStatus
from control_plane.identity.rules import Role
from control_plane.ports.cloud.memory import Server
from control_plane.ports.cloud.port import WireSpec
from tests.api import a_person, an_agency
from tests.centre import Centre
from tests.plays import CERTIFICATE

DATABASE = {"name": "records", "blueprint": "postgres-database", "size": "medium"}
APPLICATION = {"name": "portal", "blueprint": "python-app", "size": "medium"}
PYTHON = {"application": "portal.wsgi:application"}


def both(centre: Centre) -> tuple[str, str]:
    """Give an application and a database in service."""
    application = centre.active(**APPLICATION, inputs=PYTHON)
    database = centre.active(**DATABASE)
    assert {application.status, database.status} == {HostingStatus.ACTIVE}
    return application.id, database.id


def attach(centre: Centre, application: str, database: str) -> str:
    path = f"/v1/hostings/{application}/attachments"
    answer = centre.owner.post(path, {"target": database})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def detach(centre: Centre, attachment: str) -> None:
    answer = centre.owner.request("DELETE", f"/v1/attachments/{attachment}")
    assert answer.status_code == 202, answer.text


def row_of(centre: Centre, attachment: str) -> Attachment:
    with centre.api.db.read() as session:
        return session.get_one(Attachment, attachment)


def delivered(centre: Centre, hosting_id: str) -> tuple[dict[str, str], dict[str, str], Any]:
    """Return the environment, the users and the certificates that a server was told."""
    _, environment, users, certificates = json.loads(centre.cloud.server(hosting_id).configuration)
    return environment, users, certificates


def fall(server: Server) -> None:
    server.is_running = False


def is_open(centre: Centre, attachment: str) -> bool:
    row = row_of(centre, attachment)
    spec = WireSpec(row.id, row.tenant_id, row.hosting_id, row.target_id, row.port)
    return centre.cloud.observe_wire(spec).is_whole


def test_an_application_gets_the_address_of_its_database_and_exactly_one_open_port(
    centre: Centre,
) -> None:
    application, database = both(centre)
    attachment = attach(centre, application, database)
    centre.live_on(60)

    row = row_of(centre, attachment)
    assert row.status == AttachmentStatus.LIVE
    [(user, password)] = delivered(centre, database)[1].items()
    environment, _, certificates = delivered(centre, application)
    url = environment["DATABASE_URL"]
    assert url.startswith(f"postgresql://{user}:{password}@{row.address}:5432/app?")
    assert certificates == {"database_url": CERTIFICATE}
    assert "database_url.pem" in url
    assert is_open(centre, attachment)
    assert len(password) >= 32


def test_an_attachment_is_listed_by_both_sides_and_shows_no_password(centre: Centre) -> None:
    application, database = both(centre)
    attachment = attach(centre, application, database)
    centre.live_on(60)

    [password] = delivered(centre, database)[1].values()
    for one in (application, database):
        listed = centre.owner.get(f"/v1/hostings/{one}/attachments")
        [item] = listed.json()["items"]
        assert (item["id"], item["status"]) == (attachment, "live")
        assert item["names"] == {"hosting": "portal", "target": "records"}
        assert password not in listed.text


def test_detaching_closes_the_port_and_the_user_and_a_new_one_gets_another_password(
    centre: Centre,
) -> None:
    application, database = both(centre)
    first = attach(centre, application, database)
    centre.live_on(60)
    before = delivered(centre, database)[1]
    detach(centre, first)
    centre.live_on(60)

    assert row_of(centre, first).status == AttachmentStatus.DETACHED
    assert delivered(centre, database)[1] == {}
    assert delivered(centre, application)[0] == {}
    assert not is_open(centre, first)

    second = attach(centre, application, database)
    centre.live_on(60)
    after = delivered(centre, database)[1]
    assert row_of(centre, second).status == AttachmentStatus.LIVE
    assert not set(before) & set(after)
    assert not set(before.values()) & set(after.values())


def test_detaching_what_never_became_ready_leaves_nothing_open(centre: Centre) -> None:
    application, database = both(centre)
    attachment = attach(centre, application, database)
    detach(centre, attachment)
    detach(centre, attachment)
    centre.live_on(60)

    assert row_of(centre, attachment).status == AttachmentStatus.DETACHED
    assert delivered(centre, database)[1] == {}
    assert not is_open(centre, attachment)


@pytest.mark.parametrize("later", range(8))
def test_detaching_in_the_middle_leaves_nothing_open(centre: Centre, later: int) -> None:
    application, database = both(centre)
    attachment = attach(centre, application, database)
    for life in (database, application):
        for _ in range(later):
            centre.step(life)
    detach(centre, attachment)
    centre.live_on(90)

    assert row_of(centre, attachment).status == AttachmentStatus.DETACHED
    assert delivered(centre, database)[1] == {}
    assert delivered(centre, application)[0] == {}
    assert not is_open(centre, attachment)


def test_a_way_that_was_closed_from_outside_is_opened_again(centre: Centre) -> None:
    application, database = both(centre)
    attachment = attach(centre, application, database)
    centre.live_on(60)
    address = row_of(centre, attachment).address
    centre.cloud.sabotage(database, fall)
    centre.live_on(150)
    assert is_open(centre, attachment)
    centre.cloud.sabotage(application, fall)
    centre.live_on(300)

    assert is_open(centre, attachment)
    assert row_of(centre, attachment).address == address


def test_the_end_of_a_database_detaches_it(centre: Centre) -> None:
    application, database = both(centre)
    attachment = attach(centre, application, database)
    centre.live_on(60)

    with centre.api.db.begin() as session:
        lives.request_ending(session, LIFE.kind, database)
    centre.live_on(60)

    assert centre.read(database).status == HostingStatus.ENDED
    assert centre.read(application).status == HostingStatus.ACTIVE
    assert row_of(centre, attachment).status == AttachmentStatus.DETACHED
    assert delivered(centre, application)[0] == {}


def test_an_application_stays_up_while_its_database_is_closed(centre: Centre) -> None:
    application, database = both(centre)
    attachment = attach(centre, application, database)
    centre.live_on(60)
    told = centre.owner.post(f"/v1/hostings/{database}/suspend", {"reason": "holidays"})
    assert told.status_code == 202, told.text
    centre.live_on(120)

    assert centre.read(database).status == HostingStatus.SUSPENDED
    assert centre.read(application).status == HostingStatus.ACTIVE
    assert "DATABASE_URL" in delivered(centre, application)[0]
    centre.owner.post(f"/v1/hostings/{database}/resume", {})
    centre.live_on(240)
    assert is_open(centre, attachment)


@pytest.mark.parametrize(
    "pair", [("portal", "portal"), ("records", "portal"), ("website", "records")]
)
def test_only_an_application_is_attached_and_only_to_a_database(
    centre: Centre, pair: tuple[str, str]
) -> None:
    both(centre)
    centre.active()
    client, target = (f"health:{name}" for name in pair)
    answer = centre.owner.post(f"/v1/hostings/{client}/attachments", {"target": target})
    assert answer.status_code == 409
    assert answer.json()["code"] == "not_attachable"


def test_an_application_has_one_database_at_a_time(centre: Centre) -> None:
    application, database = both(centre)
    first = attach(centre, application, database)
    path = f"/v1/hostings/{application}/attachments"
    answer = centre.owner.post(path, {"target": database})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_attached")
    assert first in answer.json()["mend"]


def test_another_agency_can_neither_attach_nor_detach(centre: Centre) -> None:
    application, database = both(centre)
    attachment = attach(centre, application, database)
    stranger = a_person(centre.api, Role.OWNER, an_agency(centre.api.db, "water"))
    path = f"/v1/hostings/{application}/attachments"
    assert stranger.post(path, {"target": database}).status_code == 404
    assert stranger.request("DELETE", f"/v1/attachments/{attachment}").status_code == 404
    assert stranger.get(path).status_code == 404
