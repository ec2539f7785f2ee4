"""From switched to seen: probed from inside, served by the edge, read back through it."""

from functools import partial

from sqlmodel import Session

from control_plane.engine.outcome import Again, Go, Outcome
from control_plane.engine.registry import Ctx
from control_plane.hosting import actions, queries
from control_plane.hosting.rules import HostingStatus
from control_plane.hosting.steps.build import SERVER_DOWN
from control_plane.hosting.steps.facts import (
    Facts,
    actor_of,
    cloud_of,
    load_deployment,
    load_facts,
)
from control_plane.kit import metrics
from control_plane.kit.errors import Unavailable
from control_plane.ports.cloud.port import ProbeReport
from control_plane.ports.edge.port import NONCE_PATH, Route, RouteState
from control_plane.releases import actions as releases

LOOKS = 4  # at the edge, before server and route are seen to again


def probe(ctx: Ctx) -> Outcome:
    """Try from inside what must not be reached, before anybody gets to see the site."""
    facts = load_facts(ctx)
    report = probe_isolation(ctx, facts)
    if not report.controls_passed:
        return Again("probe_impossible")
    if report.reached:
        return Go("isolate", writes=quarantined_by(ctx, report))
    return Go("serve")


def serve(ctx: Ctx) -> Outcome:
    """Let the edge send visitors to the server."""
    open_route(ctx, load_facts(ctx))
    return Go("verify")


def verify(ctx: Ctx) -> Outcome:
    """Read this deployment's nonce through the edge; only then it is live."""
    facts = load_facts(ctx)
    deployment = load_deployment(ctx, facts)
    if not is_served(ctx, facts, deployment.nonce):
        if ctx.claim.attempts >= LOOKS:  # here, not by going back: the deadline must run on
            cloud_of(ctx, facts).ensure_server(facts.server_spec(), ctx.fence)
            open_route(ctx, facts)
        return Again("nonce_not_seen")
    return Go("watch", writes=partial(_write_seen, ctx, facts, deployment.id))


def open_route(ctx: Ctx, facts: Facts) -> None:
    """See that the edge sends the hostname's visitors to where the server was seen."""
    seen = cloud_of(ctx, facts).observe_server(facts.hosting.id)
    if seen.address is None:
        raise Unavailable(SERVER_DOWN, server=facts.hosting.id)
    ctx.ports.edge.ensure_route(Route(facts.hostname, RouteState.SERVING, seen.address))


def is_served(ctx: Ctx, facts: Facts, nonce: str) -> bool:
    """Whether a visitor gets this nonce through the edge."""
    answer = ctx.ports.edge.observe(facts.hostname, NONCE_PATH)
    return answer.status == 200 and answer.body.strip() == nonce.encode()  # noqa: PLR2004  # OK


def probe_isolation(ctx: Ctx, facts: Facts) -> ProbeReport:
    """Probe from inside the server and count the result."""
    report = cloud_of(ctx, facts).probe_isolation(facts.hosting.id, ())
    result = "isolated" if report.is_isolated else "reached"
    metrics.ISOLATION_PROBES.labels(facts.hosting.region_id, result).inc()
    return report


def quarantined_by(ctx: Ctx, report: ProbeReport) -> partial[None]:
    """Return the write that takes the hosting out of service for what its probe reached."""
    return partial(
        actions.quarantine,
        actor_id=actor_of(ctx),
        hosting_id=ctx.claim.subject_id,
        reached=report.reached,
    )


def _write_seen(ctx: Ctx, facts: Facts, deployment_id: str, session: Session) -> None:
    hosting, actor = queries.get_hosting(session, facts.hosting.id), actor_of(ctx)
    releases.finish_deployment(session, actor, deployment_id)
    if hosting.status == HostingStatus.QUARANTINED:
        actions.restore_service(session, actor, hosting.id)
    generation = facts.generation_seen(deployment_id)
    actions.mark_active(
        session, actor, hosting.id, deployment_id=deployment_id, generation=generation
    )
    actions.note_observed(session, hosting.id, generation=generation)
