"""The ledger's doors: who sees which entries, and proofs that hold without us."""

from datetime import timedelta
from ipaddress import IPv4Address

import pytest

from control_plane.engine.engine import Engine
from control_plane.engine.lives import find_life
from control_plane.engine.registry import Registry
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.ledger import actions as ledger
from control_plane.ledger.receipts import has_grown, verify_receipt
from control_plane.ledger.rules import BIRTH, LOG_ID
from control_plane.ledger.steps import FLOW
from control_plane.ledger.verifier import verify
from control_plane.ports.automation.memory import MemoryAutomation
from control_plane.ports.blobs.memory import MemoryBlobs
from control_plane.ports.bundle import Ports
from control_plane.ports.edge.memory import MemoryEdge, Served
from control_plane.ports.keyring.memory import MemoryKeyring
from tests.api import Api, a_person, an_agency
from tests.offer import a_wish, an_offer


def _nobody_answers(_address: IPv4Address, _port: int, _path: str) -> Served:
    raise ConnectionRefusedError


class Sealer:
    """Runs the ledger's life until everything has its place under a signature."""

    def __init__(self, api: Api) -> None:
        outside = MemoryEdge(_nobody_answers), MemoryBlobs(), MemoryKeyring()
        ports = Ports({}, *outside, MemoryAutomation({}))
        self._api, self._engine = api, Engine(api.db, ports, Registry([FLOW]), "test")
        self._later = timedelta()
        with api.db.begin() as session:
            ledger.ensure_log(session, "edubba.test/ledger")

    def __call__(self) -> None:
        with self._api.db.read() as session:
            life = find_life(session, BIRTH.kind, LOG_ID)
        assert life is not None
        self._later += timedelta(seconds=2)  # behind the rest that the last time ended with
        with clock.shifted(self._later):
            self._engine.advance(life.id)


@pytest.fixture
def seal(api: Api) -> Sealer:
    return Sealer(api)


def test_an_owner_sees_only_their_agencys_entries(api: Api, seal: Sealer) -> None:
    health, water = an_agency(api.db, "health"), an_agency(api.db, "water")
    owner = a_person(api, Role.OWNER, health)
    seal()
    items = owner.get("/v1/ledger/entries").json()["items"]
    assert {item["agency_id"] for item in items} == {health.id}
    assert owner.get("/v1/ledger/entries?agency=water").status_code == 404
    auditor = a_person(api, Role.AUDITOR)
    everything = auditor.get("/v1/ledger/entries?limit=200").json()["items"]
    assert {health.id, water.id} <= {item["agency_id"] for item in everything}


def test_entries_come_newest_first_in_pages_without_a_gap(api: Api, seal: Sealer) -> None:
    an_agency(api.db)
    auditor = a_person(api, Role.AUDITOR)
    seal()
    seen: list[int] = []
    cursor = ""
    while True:
        page = auditor.get(f"/v1/ledger/entries?limit=3{cursor}").json()
        seen += [item["index"] for item in page["items"]]
        seal()  # each look is an entry itself, and newer than every page to come
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == list(range(seen[0], -1, -1))


def test_a_receipt_proves_an_action_to_whoever_did_it(api: Api, seal: Sealer) -> None:
    developer = a_person(api, Role.DEVELOPER, an_agency(api.db))
    stranger = a_person(api, Role.DEVELOPER, an_agency(api.db, "water"))
    with api.db.begin() as session:
        entry = ledger.append(
            session,
            actor_id=developer.person.id,
            action="hosting.requested",
            subject_id="hst_x",
            agency_id=None,
            payload={"name": "website"},
        )
    early = developer.get(f"/v1/ledger/receipts/{entry}")
    assert (early.status_code, early.json()["code"]) == (409, "ledger_entry_not_sealed")
    seal()
    vkey = api.client.get("/v1/ledger/key").json()["vkey"]
    receipt = verify_receipt(developer.get(f"/v1/ledger/receipts/{entry}").content, vkey)
    assert receipt.payload == {"name": "website"}
    assert stranger.get(f"/v1/ledger/receipts/{entry}").status_code == 404


def test_anybody_can_check_that_the_tree_only_grew(api: Api, seal: Sealer) -> None:
    an_agency(api.db)
    seal()
    old = api.client.get("/v1/ledger/checkpoints/latest").json()
    an_agency(api.db, "water")
    seal()
    shown = api.client.get(f"/v1/ledger/checkpoints/{old['tree_size']}/proof").json()
    assert shown["tree_size"] > old["tree_size"]
    assert has_grown(old["note"], shown["note"], shown["proof"], old["vkey"])
    beyond = api.client.get(f"/v1/ledger/checkpoints/{shown['tree_size'] + 99}/proof")
    assert beyond.status_code == 404


def test_the_export_verifies_and_leaves_an_entry_of_its_own(api: Api, seal: Sealer) -> None:
    an_agency(api.db)
    auditor = a_person(api, Role.AUDITOR)
    seal()
    newest = api.client.get("/v1/ledger/checkpoints/latest").json()
    answer = auditor.get("/v1/ledger/export")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = answer.content.splitlines(keepends=True)
    assert verify(lines, newest["vkey"], newest["note"]).is_whole
    seal()
    latest = auditor.get("/v1/ledger/entries?action=ledger.exported").json()["items"]
    assert latest[0]["actor_id"] == auditor.person.id


def test_an_owner_exports_nothing_of_others(api: Api) -> None:
    owner = a_person(api, Role.OWNER, an_agency(api.db))
    assert owner.get("/v1/ledger/export").status_code == 403


def test_an_answer_names_the_entries_that_prove_what_was_done(api: Api, seal: Sealer) -> None:
    an_offer(api.db)
    owner = a_person(api, Role.OWNER, an_agency(api.db))
    seal()
    answer = owner.post("/v1/requests", a_wish())
    named = answer.headers["ledger-entry"].split(", ")
    seal()
    vkey = api.client.get("/v1/ledger/key").json()["vkey"]
    receipts = [
        verify_receipt(owner.get(f"/v1/ledger/receipts/{entry}").content, vkey) for entry in named
    ]
    assert {"hosting.requested", "request.submitted"} <= {one.leaf.action for one in receipts}
    assert {one.leaf.actor for one in receipts} == {owner.person.id}
    assert "ledger-entry" not in owner.get("/v1/requests").headers
