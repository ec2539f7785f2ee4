"""The end of a hosting: out of service, kept for its time, destroyed, and its means free again."""

from datetime import timedelta
from functools import partial

from sqlmodel import Session

from control_plane.engine.outcome import Again, Done, Go, Outcome
from control_plane.engine.registry import Ctx
from control_plane.hosting import actions, queries
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import HostingStatus
from control_plane.hosting.steps.configure import put_away
from control_plane.hosting.steps.facts import actor_of, cloud_of, load_facts
from control_plane.kit import clock
from control_plane.logs import actions as logs
from control_plane.ports.cloud.port import ServerState
from control_plane.runs import actions as runs
from control_plane.runs import queries as run_rows
from control_plane.tenancy import actions as tenancy

LONGEST_REST = timedelta(days=1)


def wind_down(ctx: Ctx) -> Outcome:
    """Say that it is ending; of what was never made nothing has to end."""
    hosting = load_facts(ctx).hosting
    if hosting.status in {HostingStatus.CANCELLED, HostingStatus.PURGED}:
        return Done()
    writes = partial(actions.begin_ending, actor_id=actor_of(ctx), hosting_id=hosting.id)
    return Go("close_route", writes=writes)


def close_route(ctx: Ctx) -> Outcome:
    """Let the edge forget the name."""
    ctx.ports.edge.remove_route(load_facts(ctx).hostname)
    return Go("stop_server")


def stop_server(ctx: Ctx) -> Outcome:
    """Stop what runs, a run of a playbook first; the data stays."""
    facts = load_facts(ctx)
    run = ctx.load(partial(run_rows.find_unfinished, hosting_id=facts.hosting.id))
    if run is not None:
        put_away(ctx, facts, run)
        cancel = partial(runs.cancel_run, actor_id=actor_of(ctx), run_id=run.id)
        return Go("stop_server", writes=cancel)
    cloud_of(ctx, facts).stop_server(facts.hosting.id, ctx.fence)
    writes = partial(actions.mark_ended, actor_id=actor_of(ctx), hosting_id=facts.hosting.id)
    return Go("retain", writes=writes)


def retain(ctx: Ctx) -> Outcome:
    """Keep the data until its time is over, and longer under a legal hold."""
    hosting = load_facts(ctx).hosting
    if _may_be_destroyed(hosting):
        return Go("destroy")
    left = hosting.purge_after - clock.now() if hosting.purge_after else LONGEST_REST
    rest = (
        LONGEST_REST if hosting.legal_hold else min(max(left, timedelta(seconds=1)), LONGEST_REST)
    )
    return Go("retain", after=rest, writes=partial(logs.forget_old, hosting_id=hosting.id))


def destroy(ctx: Ctx) -> Outcome:
    """Remove server and data for good: the one thing that can't be taken back."""
    facts = load_facts(ctx)
    if not _may_be_destroyed(facts.hosting):
        return Go("retain")
    if not ctx.holds_lease():
        return Again("lease_lost")
    cloud = cloud_of(ctx, facts)
    cloud.destroy_server(facts.hosting.id, ctx.fence)
    if cloud.observe_server(facts.hosting.id).state != ServerState.ABSENT:
        return Again("server_still_there")
    return Done(writes=partial(_write_purged, ctx))


def _may_be_destroyed(hosting: Hosting) -> bool:
    return (
        not hosting.legal_hold
        and hosting.purge_after is not None
        and hosting.purge_after <= clock.now()
    )


def _write_purged(ctx: Ctx, session: Session) -> None:
    hosting = queries.get_hosting(session, ctx.claim.subject_id)
    actions.mark_purged(session, actor_of(ctx), hosting.id)
    session.flush()
    if not queries.has_hostings(session, hosting.tenant_id):
        tenancy.end_tenant(session, hosting.tenant_id)
