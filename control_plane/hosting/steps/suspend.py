"""A hosting that is closed: a page says so at the edge, its server stands still, its data stays."""

from functools import partial

from control_plane.engine.outcome import Again, Go, Outcome, all_of
from control_plane.engine.registry import Ctx
from control_plane.hosting import actions
from control_plane.hosting.steps.facts import actor_of, cloud_of, load_facts
from control_plane.hosting.steps.watch import REST
from control_plane.logs import actions as logs
from control_plane.ports.cloud.port import ServerState
from control_plane.ports.edge.port import NONCE_PATH, Route, RouteState

CLOSED = 503


def suspend(ctx: Ctx) -> Outcome:
    """Show visitors the page before anything stops."""
    facts = load_facts(ctx)
    ctx.ports.edge.ensure_route(Route(facts.hostname, RouteState.SUSPENDED))
    if ctx.ports.edge.observe(facts.hostname, NONCE_PATH).status != CLOSED:
        return Again("page_not_seen")
    return Go("halt")


def halt(ctx: Ctx) -> Outcome:
    """Stop what runs; the data stays."""
    facts = load_facts(ctx)
    cloud_of(ctx, facts).stop_server(facts.hosting.id, ctx.fence)
    closed = partial(
        actions.mark_suspended,
        actor_id=actor_of(ctx),
        hosting_id=facts.hosting.id,
        generation=facts.hosting.generation,
    )
    return Go("suspended", writes=closed)


def suspended(ctx: Ctx) -> Outcome:
    """Keep it closed until it is wished open; then it is built up like a new one."""
    facts = load_facts(ctx)
    if facts.hosting.suspended_at is None:
        return Go("build_server")
    ctx.ports.edge.ensure_route(Route(facts.hostname, RouteState.SUSPENDED))
    if cloud_of(ctx, facts).observe_server(facts.hosting.id).state != ServerState.STOPPED:
        return Go("halt")
    note = partial(actions.note_observed, hosting_id=facts.hosting.id)
    forget = partial(logs.forget_old, hosting_id=facts.hosting.id)
    return Go("suspended", after=REST, writes=all_of(note, forget))
