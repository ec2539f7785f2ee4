"""Several people and a life at the same moment: one wins, the others are told, nobody waits."""

import threading
from collections.abc import Callable
from functools import partial

from sqlmodel import Session, select

from control_plane.engine.lives import find_life
from control_plane.engine.models import Life
from control_plane.hosting import actions, queries
from control_plane.hosting.models import Decision, Hosting, Request
from control_plane.hosting.rules import AlreadyDecided, NameTaken, NewHosting
from control_plane.kit.db import Database
from control_plane.kit.errors import Problem
from control_plane.tenancy import queries as tenancy
from control_plane.tenancy.rules import Resource
from tests.hosting.conftest import Scene
from tests.hosting.test_requests import submit, used

Act = Callable[[Session], object]
ROUNDS = 5


def together(db: Database, acts: list[Act]) -> list[str]:
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
    terms = actions.Terms("edubba.localhost", 30, actions.installed_policy())
    wish = NewHosting("health", "website", "static-site", "small", {})

    def ask(session: Session) -> object:
        return actions.submit_create(session, scene.developer.actor, wish, terms)

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


def _record(session: Session, hosting_id: str) -> None:
    # As the engine does: the life's row is locked, then the step's words are written.
    life = find_life(session, "hosting", hosting_id)
    assert life is not None
    session.refresh(life, with_for_update=True)
    actions.note_observed(session, hosting_id)
    life.attempts += 1
    session.add(life)
