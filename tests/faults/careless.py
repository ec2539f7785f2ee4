"""The same kills, of a step that does what no step may: it writes before its outcome is recorded.

If the harness found nothing wrong with this one, what it says of the others would be worth nothing.
"""

import sys
from dataclasses import replace
from pathlib import Path

from control_plane.engine.outcome import Outcome
from control_plane.engine.registry import Ctx, Flow, Step
from control_plane.hosting.steps import EDGE_FLOW
from control_plane.hosting.steps.edge import certify
from control_plane.kit.db import Database
from control_plane.ledger import actions as ledger
from control_plane.worker import FLOWS
from tests.faults.kills import Killing
from tests.faults.story import STORY


def careless(flow: Flow, db: Database) -> Flow:
    """Return the flow with a step that tells the ledger too early."""

    def hasty(ctx: Ctx) -> Outcome:
        with db.begin() as session:
            ledger.append(
                session,
                actor_id="careless",
                action="edge.certified",
                subject_id=ctx.claim.subject_id,
                agency_id=None,
                payload={},
            )
        db.close()
        return certify(ctx)

    return replace(flow, steps={**flow.steps, "certify": Step(hasty)})


def main(url: str, place: str) -> None:
    flows = [careless(flow, Database(url)) if flow is EDGE_FLOW else flow for flow in FLOWS]
    Killing(url, STORY[:1], flows).run().write(Path(place))


if __name__ == "__main__":
    main(*sys.argv[1:])
