"""A hosting in service: wish and fact are compared, drift is mended, isolation is proved again."""

from datetime import timedelta
from functools import partial

from sqlmodel import Session

from control_plane.engine import lives
from control_plane.engine.outcome import Again, Go, Outcome, all_of
from control_plane.engine.registry import Ctx
from control_plane.hosting import actions, queries
from control_plane.hosting.steps.collecting import collect, is_asked_for
from control_plane.hosting.steps.configure import list_drift
from control_plane.hosting.steps.facts import (
    Facts,
    actor_of,
    cloud_of,
    load_facts,
    load_next_deployment,
)
from control_plane.hosting.steps.serve import is_served, probe_isolation, quarantined_by
from control_plane.kit import clock
from control_plane.kit.log import get_log
from control_plane.ports.cloud.port import ProbeReport, ServerState
from control_plane.ports.edge.port import Route, RouteState

log = get_log("hosting")
DRIFT_SEEN = "drift_seen"
REST = timedelta(seconds=30)
FAILURE_WINDOW = timedelta(minutes=5)
FEW = 3  # hostings may always be isolated, however few there are
MANY = 20  # more than one in twenty within the window: it is the probe, or the data centre


def watch(ctx: Ctx) -> Outcome:
    """Look at server, edge and isolation; go where something has to be mended."""
    facts = load_facts(ctx)
    hosting = facts.hosting
    deployment = load_next_deployment(ctx, facts)
    wished = _find_wish(ctx, facts, deployment.id)
    if wished is not None:
        return Go(wished)
    left = _rest_left(facts)
    if left > timedelta() and is_asked_for(ctx, facts):
        return Go("watch", after=left, writes=collect(ctx, facts))
    mended_by, drift = _look(ctx, facts, deployment.nonce)
    if drift:
        return _mend(ctx, mended_by, drift)
    report = probe_isolation(ctx, facts)
    if not report.controls_passed:
        return _mend(ctx, "build_server", ["probe_impossible"])
    if report.reached:
        return _take_out(ctx, facts, report)
    note = partial(
        actions.note_observed,
        hosting_id=hosting.id,
        generation=facts.generation_seen(deployment.id),
    )
    return Go("watch", after=REST, writes=all_of(note, collect(ctx, facts)))


def _rest_left(facts: Facts) -> timedelta:
    """Return for how long the last look is good enough: a wish for the log alone is no other."""
    seen = facts.hosting.observed_at
    return timedelta() if seen is None else seen + REST - clock.now()


def _find_wish(ctx: Ctx, facts: Facts, deployment_id: str) -> str | None:
    """Return the step that carries out what is wished otherwise than it is."""
    hosting = facts.hosting
    if hosting.suspended_at is not None:
        return "suspend"
    if deployment_id != hosting.live_deployment_id:
        return "begin"
    if ctx.load(partial(queries.find_approved_change, hosting_id=hosting.id)) is not None:
        return "change"
    return None if facts.is_wish_configured else "configure"


def _look(ctx: Ctx, facts: Facts, nonce: str) -> tuple[str, list[str]]:
    """Return what is not as it should be, in one word each, and the step that mends it."""
    seen = cloud_of(ctx, facts).observe_server(facts.hosting.id)
    if seen.state != ServerState.RUNNING:
        return "build_server", [seen.state.value, *seen.reasons]
    inside = list_drift(ctx, facts)
    if inside:
        return "configure", inside
    return "begin", [] if is_served(ctx, facts, nonce) else ["not_served"]


def change(ctx: Ctx) -> Outcome:
    """Begin what was approved and nothing else; a plan that changed is decided anew."""
    hosting_id, actor = ctx.claim.subject_id, actor_of(ctx)
    request = ctx.load(partial(queries.find_approved_change, hosting_id=hosting_id))
    if request is None:
        return Go("watch")
    if ctx.load(partial(queries.find_changed_plan, request=request)) is not None:
        return Go("watch", writes=partial(actions.reopen, actor_id=actor, request_id=request.id))
    begin = partial(actions.begin_change, actor_id=actor, request_id=request.id)
    return Go("build_server", writes=begin)


def isolate(ctx: Ctx) -> Outcome:
    """Take the hosting out of service: visitors get a page, and nothing of it is lost."""
    facts = load_facts(ctx)
    ctx.ports.edge.ensure_route(Route(facts.hostname, RouteState.SUSPENDED))
    return Go("quarantined", after=REST)


def quarantined(ctx: Ctx) -> Outcome:
    """Mend what can be mended, probe again, and go back into service once it is isolated."""
    facts = load_facts(ctx)
    if facts.hosting.suspended_at is not None:
        return Go("suspend")
    cloud_of(ctx, facts).ensure_server(facts.server_spec(), ctx.fence)
    report = probe_isolation(ctx, facts)
    if report.is_isolated:
        return Go("begin")
    writes = all_of(quarantined_by(ctx, report), collect(ctx, facts))
    return Go("quarantined", after=REST, writes=writes)


def _mend(ctx: Ctx, step: str, drift: list[str]) -> Outcome:
    log.warning(DRIFT_SEEN, hosting=ctx.claim.subject_id, drift=drift)
    return Go(step, writes=partial(_write_drift, ctx, drift))


def _write_drift(ctx: Ctx, drift: list[str], session: Session) -> None:
    actions.note_observed(session, ctx.claim.subject_id, drift=drift)
    facts = {"what": ", ".join(drift)}
    lives.add_event(session, ctx.claim.life_id, ctx.claim.step, DRIFT_SEEN, facts)


def _take_out(ctx: Ctx, facts: Facts, report: ProbeReport) -> Outcome:
    since = clock.now() - FAILURE_WINDOW
    count = partial(queries.count_probe_failures, hosting=facts.hosting, since=since)
    failed, of_others = ctx.load(count)
    if failed >= FEW and failed * MANY > of_others:
        log.error("isolation_breaker_open", hosting=facts.hosting.id, failed=failed)
        return Again("isolation_breaker_open", after=REST)
    return Go("isolate", writes=quarantined_by(ctx, report))
