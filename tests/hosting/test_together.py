"""Several people and a life at the same moment: one wins, the others are told, nobody waits."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from sqlmodel import Session, select

from control_plane.engine.lives import find_life
from control_plane.engine.models import Life, TimelineEvent
from control_plane.hosting import actions, queries
from control_plane.hosting.models import Decision, Hosting, Request
from control_plane.hosting.rules import AlreadyDecided, HostingStatus, NameTaken, NewHosting
from control_plane.identity.rules import Actor
from control_plane.kit.db import Database
from control_plane.kit.errors import Problem
from control_plane.ledger.rules import SYSTEM
from control_plane.tenancy import actions as tenancy_actions
from control_plane.tenancy import queries as tenancy
from control_plane.tenancy.rules import QuotaExceeded, Resource
from tests.api import PLENTY
from tests.centre import Centre
from tests.hosting.conftest import Scene
from tests.hosting.test_requests import submit, used

Act = Callable[[Session], object]
ROUNDS = 5


def together(db: Database, acts: Sequence[Act]) -> list[str]:
    """Run each in its own transaction at once; return the codes of those that were refused."""
    ready, refused = threading.Barrier(len(acts)), list[str]()
    broken: list[BaseException] = []

    def run(act: Act) -> None:
        ready.wait()
        try:
            with db.begin() as session:
                act(session)
        except Problem as problem:
            refused.append(problem.code)
        except BaseException as error:  # noqa: BLE001  # told to the test, which runs elsewhere
            broken.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken
    return refused


def test_of_many_decisions_at_once_one_counts(scene: Scene) -> None:
    operator, owner = scene.operator.actor, scene.owner.actor
    for number in range(ROUNDS):
        request = submit(scene, name=f"site-{number}")
        named = {"request_id": request["id"]}
        approve = partial(
            actions.approve, actor=operator, plan_hash=request["plan"]["hash"], **named
        )
        reject = partial(actions.reject, actor=operator, reason="no", **named)
        withdraw = partial(actions.withdraw, actor=owner, **named)
        refused = together(scene.db, [approve, reject, withdraw, approve])
        assert refused == [AlreadyDecided.code] * 3
        with scene.db.read() as session:
            decisions = queries.list_decisions(session, request["id"])
            is_withdrawn = session.get_one(Request, request["id"]).status == "withdrawn"
            assert len(decisions) == (0 if is_withdrawn else 1)


def test_of_many_wishes_for_one_name_one_is_granted(scene: Scene) -> None:
    ask = partial(_ask, actor=scene.developer.actor, name="website")
    assert together(scene.db, [ask] * 6) == [NameTaken.code] * 5
    with scene.db.read() as session:
        assert len(session.exec(select(Hosting)).all()) == 1
    assert used(scene.db, scene.agency.id)[Resource.SERVERS] == 1


def test_a_decision_and_a_step_of_the_life_do_not_wait_for_each_other(scene: Scene) -> None:
    for number in range(ROUNDS):
        request = submit(scene, name=f"site-{number}")
        hosting_id = request["hosting"]

        record = partial(_record, hosting_id=hosting_id)
        approve = partial(
            actions.approve,
            actor=scene.operator.actor,
            request_id=request["id"],
            plan_hash=request["plan"]["hash"],
        )
        assert together(scene.db, [record, approve, record]) == []
        with scene.db.read() as session:
            assert len(session.exec(select(Decision)).all()) == number + 1
            life = find_life(session, "hosting", hosting_id)
            assert isinstance(life, Life)
            assert life.attempts == 2
            assert tenancy.find_allocation(session, hosting_id) is None


def test_ten_hostings_of_one_agency_asked_for_in_the_same_second_all_come_to_be(
    centre: Centre,
) -> None:
    db = centre.api.db
    asks = [partial(_ask, actor=centre.owner.actor, name=f"site-{number}") for number in range(10)]
    assert together(db, asks) == []
    workers = [threading.Thread(target=centre.settle) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for seconds in (2, 5, 10, 20):
        centre.settle(timedelta(seconds=seconds))
    with db.read() as session:
        hostings = session.exec(select(Hosting)).all()
        assert [one.status for one in hostings] == [HostingStatus.ACTIVE] * 10
        found = [tenancy.find_allocation(session, one.id) for one in hostings]
        assert len({one.serial for one in found if one is not None}) == 10
        assert len({one.tenant_id for one in hostings}) == 1
        events = session.exec(select(TimelineEvent.event)).all()
        assert "step_crashed" not in events
    assert len(list(centre.edge.list_routes())) == 10


def test_of_ten_hostings_asked_for_in_the_same_second_the_quota_lets_four_in(scene: Scene) -> None:
    room = {**PLENTY, Resource.SERVERS: 4}
    with scene.db.begin() as session:
        tenancy_actions.set_quota(session, SYSTEM, scene.agency.id, room)
    asks = [partial(_ask, actor=scene.owner.actor, name=f"site-{number}") for number in range(10)]
    assert together(scene.db, asks) == [QuotaExceeded.code] * 6
    assert used(scene.db, scene.agency.id)[Resource.SERVERS] == 4
    with scene.db.read() as session:
        assert len(session.exec(select(Hosting)).all()) == 4


def _ask(session: Session, actor: Actor, name: str) -> object:
    terms = actions.Terms("edubba.localhost", 30, actions.installed_policy())
    wish = NewHosting("health", name, "static-site", "small", {})
    return actions.submit_create(session, actor, wish, terms)


def _record(session: Session, hosting_id: str) -> None:
    # As the engine does: the life's row is locked, then the step's words are written.
    life = find_life(session, "hosting", hosting_id)
    assert life is not None
    session.refresh(life, with_for_update=True)
    actions.note_observed(session, hosting_id)
    life.attempts += 1
    session.add(life)
