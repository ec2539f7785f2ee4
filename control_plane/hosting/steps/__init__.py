"""The life of a hosting, step by step; and the edge's, which serves them all."""

from collections.abc import Mapping
from datetime import timedelta

from sqlmodel import Session

from control_plane.engine.registry import Claim, Flow, Step
from control_plane.hosting import actions
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import LIFE
from control_plane.hosting.steps import build, configure, deliver, end, serve, suspend, watch
from control_plane.hosting.steps.edge import EDGE_FLOW, EDGE_LIFE, ensure_edge_life
from control_plane.ledger.rules import life_actor

SOON = timedelta(minutes=2)  # what takes longer than this a human should hear of

# A release's own commands run in its check: a migration may take an hour, and it starts after that.
PREPARED = timedelta(minutes=90)


def _on_stopped(session: Session, claim: Claim, code: str, facts: Mapping[str, object]) -> None:
    actions.mark_failed(session, life_actor(claim.life_id), claim.subject_id, code, facts)


def _lane_of(session: Session, hosting_id: str) -> str | None:
    hosting = session.get(Hosting, hosting_id)
    return hosting.region_id if hosting is not None else None


FLOW = Flow(
    birth=LIFE,
    ending="wind_down",
    lane=_lane_of,
    steps={
        "await_decision": Step(build.await_decision, LIFE.deadline),
        "check_plan": Step(build.check_plan, SOON),
        "announce": Step(build.announce, SOON),
        "open_tenant": Step(build.open_tenant, SOON),
        "build_server": Step(build.build_server, SOON),
        "configure": Step(build.on_server(configure.configure), SOON),
        "play": Step(build.on_server(configure.play), SOON),
        "follow": Step(build.on_server(configure.follow), SOON),
        "forget": Step(configure.forget, SOON),
        "begin": Step(deliver.deployed(deliver.begin), SOON),
        "deliver": Step(deliver.deployed(deliver.deliver)),
        "assemble": Step(deliver.deployed(deliver.assemble)),
        "check": Step(deliver.deployed(deliver.check), PREPARED),
        "switch": Step(deliver.deployed(deliver.switch), SOON),
        "probe": Step(build.on_server(serve.probe), SOON),
        "serve": Step(build.on_server(serve.serve), SOON),
        "verify": Step(serve.verify, SOON),
        "watch": Step(watch.watch, SOON),
        "change": Step(watch.change, SOON),
        "suspend": Step(suspend.suspend, SOON),
        "halt": Step(suspend.halt, SOON),
        "suspended": Step(suspend.suspended, SOON),
        "isolate": Step(watch.isolate, SOON),
        "quarantined": Step(watch.quarantined, SOON),
        "wind_down": Step(end.wind_down, SOON),
        "close_route": Step(end.close_route, SOON),
        "stop_server": Step(end.stop_server, SOON),
        "retain": Step(end.retain, timedelta(hours=1)),
        "destroy": Step(end.destroy),
    },
    on_stopped=_on_stopped,
)

__all__ = ["EDGE_FLOW", "EDGE_LIFE", "FLOW", "ensure_edge_life"]
