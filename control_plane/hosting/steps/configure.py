"""The inside of a server comes to be as it is wished for: a run of a playbook, followed to its end.

A run is a row before anything is done for it, and one id is one run, however often it is started:
so a worker that dies anywhere here goes on with the same run, and a runner that dies makes a new
one necessary, which is another row.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from sqlmodel import Session

from control_plane.engine.outcome import Again, Go, Outcome
from control_plane.engine.registry import Ctx
from control_plane.hosting import actions, queries
from control_plane.hosting.steps import attached
from control_plane.hosting.steps.collecting import collect
from control_plane.hosting.steps.facts import Facts, actor_of, cloud_of, load_facts
from control_plane.hosting.steps.opening import value_of
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.ports.automation.port import RunFact, RunSpec, RunState
from control_plane.runs import actions as runs
from control_plane.runs import queries as run_rows
from control_plane.runs.models import Run
from control_plane.runs.rules import pause_after

TIMEOUT = timedelta(minutes=10)  # of a run; what is slower than this hangs
LASTS = TIMEOUT + timedelta(minutes=5)  # of its way into the server: its place in the queue too
LOOK = timedelta(seconds=2)  # how long a step waits for a run that is under way
REST = timedelta(milliseconds=500)  # after a look at one of which there was nothing new


def configure(ctx: Ctx) -> Outcome:
    """Find out whether the server is as it is wished for inside; where it isn't, wish for a run."""
    facts = load_facts(ctx)
    fresh = attached.new_credentials(ctx, facts)
    if fresh:
        return Go("configure", writes=partial(actions.set_credential, sealed=fresh))
    if _is_configured(ctx, facts):
        return Go("begin")
    latest = ctx.load(partial(run_rows.find_latest, hosting_id=facts.hosting.id))
    if latest is not None and latest.finished_at is None:
        return Go("play")
    pause = _pause_left(ctx, facts, latest)
    if latest is not None and pause > timedelta():
        output = latest.output[-1000:]
        return Again("configuration_failed", pause, {"reason": latest.reason, "output": output})
    wish = runs.RunWish(
        run_id=new_id("run"),
        agency_id=facts.hosting.agency_id,
        hosting_id=facts.hosting.id,
        playbook=facts.play.name,
        wish_digest=facts.play.digest,
    )
    return Go("play", writes=partial(_write_begun, ctx, facts, wish))


def play(ctx: Ctx) -> Outcome:
    """Give the runner its way into the server, and the wish; one of yesterday is put away."""
    facts = load_facts(ctx)
    run = ctx.load(partial(run_rows.find_unfinished, hosting_id=facts.hosting.id))
    if run is None:
        return Go("configure")
    if run.wish_digest != facts.play.digest:
        put_away(ctx, facts, run)
        writes = partial(runs.cancel_run, actor_id=actor_of(ctx), run_id=run.id)
        return Go("configure", writes=writes)
    delivery = attached.prepare(ctx, facts)
    access = cloud_of(ctx, facts).open_run(facts.hosting.id, run.id, LASTS, ctx.fence)
    spec = RunSpec(
        run_id=run.id,
        playbook=run.playbook,
        servers=[access],
        variables=facts.play.variables,
        secrets={
            "environment": _environment(ctx, facts) | delivery.environment,
            "users": delivery.users,
            "certificates": delivery.certificates,
        },
        timeout=TIMEOUT,
    )
    ctx.ports.automation.start(spec, ctx.fence)
    return Go("follow", writes=partial(_write_taken, run.id, delivery.addresses))


def follow(ctx: Ctx) -> Outcome:
    """Write down how far the run is; once it is over, take back its way into the server."""
    facts = load_facts(ctx)
    run = ctx.load(partial(run_rows.find_unfinished, hosting_id=facts.hosting.id))
    if run is None:
        return Go("configure")
    known = ctx.load(partial(run_rows.highest_event, run_id=run.id))
    seen = ctx.ports.automation.observe(run.id, known, LOOK)
    if not seen.state.is_over:
        rest = timedelta() if seen.events else REST
        return Go("follow", after=rest, writes=partial(runs.record, fact=seen))
    cloud = cloud_of(ctx, facts)
    cloud.close_run(run.id, ctx.fence)
    if seen.state != RunState.SUCCEEDED:
        return Go("forget", writes=partial(runs.finish_run, actor_id=actor_of(ctx), fact=seen))
    found = cloud.inspect_server(facts.hosting.id).digest
    configured = actions.Configured(facts.hosting.id, run.wish_digest, found)
    delivered = None  # unless nothing was wished otherwise meanwhile
    if facts.play.digest == run.wish_digest:
        attached.shut_ways(ctx, facts)
        delivered = attached.delivered_by(facts)
    return Go("forget", writes=partial(_write_done, ctx, seen, configured, delivered))


def forget(ctx: Ctx) -> Outcome:
    """Let the runner forget what is written down now."""
    facts = load_facts(ctx)
    run = ctx.load(partial(run_rows.find_latest, hosting_id=facts.hosting.id))
    if run is None:
        return Go("configure")
    ctx.ports.automation.forget(run.id, ctx.fence)
    following = "begin" if run.status == RunState.SUCCEEDED else "configure"
    return Go(following, writes=collect(ctx, facts))


def put_away(ctx: Ctx, facts: Facts, run: Run) -> None:
    """End a run that is not wanted any more, and all that is kept of it outside the database."""
    ctx.ports.automation.cancel(run.id, ctx.fence)
    cloud_of(ctx, facts).close_run(run.id, ctx.fence)
    ctx.ports.automation.forget(run.id, ctx.fence)


def list_drift(ctx: Ctx, facts: Facts) -> list[str]:
    """Say in one word each what in the running server is not as its last run left it."""
    found = cloud_of(ctx, facts).inspect_server(facts.hosting.id)
    changed = [] if found.digest == facts.hosting.configured_as else ["configuration_changed"]
    down = [f"service_down:{name}" for name in found.down]
    return [*changed, *down, *attached.list_broken_ways(ctx, facts)]


def _is_configured(ctx: Ctx, facts: Facts) -> bool:
    return facts.is_wish_configured and not list_drift(ctx, facts)


def _pause_left(ctx: Ctx, facts: Facts, latest: Run | None) -> timedelta:
    if latest is None or latest.finished_at is None:
        return timedelta()
    count = partial(run_rows.count_failures, hosting_id=facts.hosting.id)
    failures = ctx.load(partial(count, wish_digest=facts.play.digest))
    if not failures:
        return timedelta()
    return latest.finished_at + pause_after(failures) - clock.now()


def _environment(ctx: Ctx, facts: Facts) -> dict[str, str]:
    """Return what the agency has set, secrets opened. They go to the runner and nowhere else."""
    settings = ctx.load(partial(queries.list_settings, hosting_id=facts.hosting.id))
    return {row.name: value_of(ctx, row) for row in settings}


def _write_begun(ctx: Ctx, facts: Facts, wish: runs.RunWish, session: Session) -> None:
    runs.begin_run(session, actor_of(ctx), wish)
    actions.note_ways(session, [row.id for row in facts.ways])


def _write_taken(run_id: str, addresses: Mapping[str, str], session: Session) -> None:
    runs.mark_taken(session, run_id)
    actions.note_addresses(session, addresses)


def _write_done(
    ctx: Ctx,
    seen: RunFact,
    configured: actions.Configured,
    delivered: actions.Delivered | None,
    session: Session,
) -> None:
    runs.finish_run(session, actor_of(ctx), seen)
    actions.note_configured(session, configured)
    if delivered is not None:
        actions.note_delivered(session, actor_of(ctx), delivered)
