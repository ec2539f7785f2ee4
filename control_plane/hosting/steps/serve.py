"""From a running server to a site that was seen: delivered, checked, switched, probed, verified.

What goes wrong with a deployment ends the deployment, not the hosting, as long as an older one is
live: that one stays.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from sqlmodel import Session

from control_plane.engine.outcome import Again, Failed, Go, Outcome
from control_plane.engine.registry import Ctx, StepFunction
from control_plane.hosting import actions, queries
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import HostingStatus
from control_plane.hosting.steps.facts import (
    Content,
    Facts,
    actor_of,
    cloud_of,
    load_content,
    load_facts,
    page_to_check,
    store_inline,
)
from control_plane.kit import metrics
from control_plane.kit.errors import Refused
from control_plane.ports.cloud.port import ProbeReport, ReleaseFile
from control_plane.ports.edge.port import NONCE_PATH, Route, RouteState
from control_plane.releases import actions as releases

PIECE_BYTES = 64 * 1024 * 1024  # carried in one step, which must stay far below its lease
PIECE_BLOBS = 2_000
LOOKS = 4  # at the edge, before its route is written again
STALE = "stale_fence"  # not the deployment's fault: another worker has the life


def deployed(step: StepFunction) -> StepFunction:
    """Let a refusal in `step` fail the deployment, not the life, where an older one is live."""

    def run(ctx: Ctx) -> Outcome:
        try:
            return step(ctx)
        except Refused as error:
            if error.code == STALE:
                raise
            return _fail(ctx, error.code, str(error.facts))

    return run


def deliver(ctx: Ctx) -> Outcome:
    """Carry a piece of what the server lacks; go on when it lacks nothing."""
    facts = load_facts(ctx)
    content = load_content(ctx, facts)
    store_inline(ctx, content)
    cloud, server = cloud_of(ctx, facts), facts.hosting.id
    sizes = {file.digest: file.size for file in content.files}
    missing = cloud.list_missing_blobs(server, sizes)
    start = partial(
        releases.start_deployment, actor_id=actor_of(ctx), deployment_id=content.deployment.id
    )
    if not missing:
        return Go("assemble", writes=start)
    piece = _cut(file for file in _once(content) if file.digest in missing)
    paths: list[tuple[str, Path]] = [(d, ctx.ports.blobs.path(d)) for d in piece]
    cloud.put_blobs(server, iter(paths), ctx.fence)
    left = missing - set(piece)
    progress = {
        "blobs": len(sizes) - len(left),
        "of_blobs": len(sizes),
        "bytes": sum(size for digest, size in sizes.items() if digest not in left),
        "of_bytes": sum(sizes.values()),
    }

    def write(session: Session) -> None:
        start(session)
        releases.note_progress(session, content.deployment.id, progress)

    return Go("deliver", writes=write)


def assemble(ctx: Ctx) -> Outcome:
    """Build the release beside the live one."""
    facts = load_facts(ctx)
    content = load_content(ctx, facts)
    cloud_of(ctx, facts).assemble_release(facts.hosting.id, content.spec, ctx.fence)
    return Go("check")


def check(ctx: Ctx) -> Outcome:
    """Ask the assembled release for its page, on the inside."""
    facts = load_facts(ctx)
    content = load_content(ctx, facts)
    result = cloud_of(ctx, facts).check_release(
        facts.hosting.id, content.deployment.id, page_to_check(facts)
    )
    if not result.passed:
        return _fail(ctx, "release_check_failed", result.output)
    return Go("switch")


def switch(ctx: Ctx) -> Outcome:
    """Make it the live one, atomically."""
    facts = load_facts(ctx)
    content = load_content(ctx, facts)
    cloud_of(ctx, facts).switch_release(facts.hosting.id, content.deployment.id, ctx.fence)
    return Go("probe")


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
    facts = load_facts(ctx)
    ctx.ports.edge.ensure_route(Route(facts.hostname, RouteState.SERVING, facts.address))
    return Go("verify")


def verify(ctx: Ctx) -> Outcome:
    """Read this deployment's nonce through the edge; only then it is live."""
    facts = load_facts(ctx)
    content = load_content(ctx, facts)
    if not is_served(ctx, facts, content.deployment.nonce):
        return Go("serve") if ctx.claim.attempts >= LOOKS else Again("nonce_not_seen")
    deployment_id, generation = content.deployment.id, facts.hosting.generation

    def write(session: Session) -> None:
        hosting, actor = queries.get_hosting(session, facts.hosting.id), actor_of(ctx)
        releases.finish_deployment(session, actor, deployment_id)
        if hosting.status == HostingStatus.QUARANTINED:
            actions.restore_service(session, actor, hosting.id)
        actions.mark_active(
            session, actor, hosting.id, deployment_id=deployment_id, generation=generation
        )
        actions.note_observed(session, hosting.id, is_probed=True)

    return Go("watch", writes=write)


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


def _fail(ctx: Ctx, code: str, output: str) -> Outcome:
    hosting = load_facts(ctx).hosting
    wished, live = hosting.wished_deployment_id or "", hosting.live_deployment_id
    if live is None or live == wished:
        return Failed(code, {"output": output})

    def write(session: Session) -> None:
        releases.fail_deployment(session, actor_of(ctx), wished, code, output)
        row = session.get_one(Hosting, hosting.id)
        if row.wished_deployment_id == wished:
            row.wished_deployment_id = live
            session.add(row)

    return Go("watch", writes=write)


def _once(content: Content) -> Iterable[ReleaseFile]:
    return {file.digest: file for file in content.files}.values()


def _cut(files: Iterable[ReleaseFile]) -> list[str]:
    piece: list[str] = []
    total = 0
    for file in files:
        if piece and (total + file.size > PIECE_BYTES or len(piece) >= PIECE_BLOBS):
            break
        piece.append(file.digest)
        total += file.size
    return piece
