"""From content to what is live: carried over in pieces, assembled beside, checked, switched.

What goes wrong with a deployment ends the deployment, not the hosting, as long as an older one is
live: that one stays.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlmodel import Session

from control_plane.engine.outcome import Again, Failed, Go, Outcome
from control_plane.engine.registry import Ctx, StepFunction
from control_plane.hosting import actions
from control_plane.hosting.steps.build import on_server
from control_plane.hosting.steps.collecting import collect_if_due, shown
from control_plane.hosting.steps.facts import (
    Content,
    actor_of,
    cloud_of,
    load_content,
    load_deployment,
    load_facts,
    load_next_deployment,
    page_to_check,
    store_inline,
)
from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.blobs.port import Blobs
from control_plane.releases import actions as releases
from control_plane.releases.rules import DeploymentStatus

PIECE_BYTES = 64 * 1024 * 1024
PIECE_S = 20.0  # then the step ends: with the longest blob on top it stays below its lease
PREPARING = "release_preparing"  # its migration may take up to an hour
LOOK = timedelta(seconds=1)  # before the second look at a release that is being prepared
LONGEST_LOOK = timedelta(seconds=5)  # a look holds a thread of the worker for two seconds
STALE = "stale_fence"  # not the deployment's fault: another worker has the life


def deployed(step: StepFunction) -> StepFunction:
    """Let a refusal in `step` fail the deployment, not the life, where an older one is live.

    What refuses the server itself stops the life.
    """

    def run(ctx: Ctx) -> Outcome:
        try:
            return step(ctx)
        except Refused as refused:
            if refused.code == STALE:
                raise
            return _give_up(ctx, refused.code, refused.facts)

    return on_server(run)


def begin(ctx: Ctx) -> Outcome:
    """Take up the deployment whose turn it is, and make room: the server keeps what is live."""
    facts = load_facts(ctx)
    deployment = load_next_deployment(ctx, facts)
    if deployment.status != DeploymentStatus.QUEUED:
        return Go("deliver")  # under way already, or live and to be mended
    cloud_of(ctx, facts).prune_releases(facts.hosting.id, (), ctx.fence)
    start = partial(releases.start_deployment, actor_id=actor_of(ctx), deployment_id=deployment.id)
    return Go("deliver", writes=start)


def deliver(ctx: Ctx) -> Outcome:
    """Carry over a piece of what the server lacks; go on when it lacks nothing."""
    facts = load_facts(ctx)
    content = load_content(ctx, facts)
    cloud, server = cloud_of(ctx, facts), facts.hosting.id
    sizes = {file.digest: file.size for file in content.files}
    missing = cloud.list_missing_blobs(server, sizes)
    if not missing:  # said also here: a worker may have died between the last piece and its note
        return Go("assemble", writes=_progress(content, sizes, left=missing))
    store_inline(ctx, content)
    sent: set[str] = set()
    cloud.put_blobs(server, _piece(ctx.ports.blobs, sorted(missing), sizes, sent), ctx.fence)
    return Go("deliver", writes=_progress(content, sizes, left=missing - sent))


def assemble(ctx: Ctx) -> Outcome:
    """Build the release beside the live one."""
    facts = load_facts(ctx)
    content = load_content(ctx, facts)
    cloud_of(ctx, facts).assemble_release(facts.hosting.id, content.spec, ctx.fence)
    return Go("check")


def check(ctx: Ctx) -> Outcome:
    """Ask the assembled release for its page, on the inside, before anybody else can."""
    facts = load_facts(ctx)
    deployment = load_deployment(ctx, facts)
    if deployment.status == DeploymentStatus.LIVE:
        return Go("switch")  # it was checked before it went live
    is_placeholder = deployment.release_id is None
    path = "/" if is_placeholder else page_to_check(facts)
    try:
        result = cloud_of(ctx, facts).check_release(facts.hosting.id, deployment.id, path)
    except Unavailable as away:
        if away.code != PREPARING:
            raise
        rest = min(LOOK * (ctx.claim.attempts + 1), LONGEST_LOOK)
        return Again(PREPARING, rest, away.facts, writes=collect_if_due(ctx, facts))
    if not result.passed:
        output = shown(ctx, facts, result.output)
        return _give_up(ctx, "release_check_failed", {"output": output})
    return Go("switch")


def switch(ctx: Ctx) -> Outcome:
    """Make it the live one, atomically."""
    facts = load_facts(ctx)
    deployment = load_deployment(ctx, facts)
    cloud_of(ctx, facts).switch_release(facts.hosting.id, deployment.id, ctx.fence)
    return Go("probe")


def _progress(content: Content, sizes: Mapping[str, int], left: frozenset[str]) -> partial[None]:
    """Return the write that says how much of the content is where it belongs."""
    progress = {
        "blobs": len(sizes) - len(left),
        "of_blobs": len(sizes),
        "bytes": sum(size for digest, size in sizes.items() if digest not in left),
        "of_bytes": sum(sizes.values()),
    }
    return partial(releases.note_progress, deployment_id=content.deployment.id, progress=progress)


def _give_up(ctx: Ctx, code: str, about: Mapping[str, Any]) -> Outcome:
    """End the deployment; the life stops only where nothing else is there to be live."""
    facts = load_facts(ctx)
    deployment = load_deployment(ctx, facts)
    live = facts.hosting.live_deployment_id
    if live is None or live == deployment.id:
        return Failed(code, about)
    output = str(about.get("output") or ", ".join(f"{k}: {v}" for k, v in about.items()))

    def write(session: Session) -> None:
        releases.fail_deployment(session, actor_of(ctx), deployment.id, code, output)
        actions.return_to_live(session, facts.hosting.id, given_up=deployment.id)

    return Go("watch", writes=write)


def _piece(
    blobs: Blobs, missing: Sequence[str], sizes: Mapping[str, int], sent: set[str]
) -> Iterator[tuple[str, Path]]:
    """Give blobs until the piece is full or its time is over, but always one."""
    until, room = time.monotonic() + PIECE_S, PIECE_BYTES
    for digest in missing:
        yield digest, blobs.path(digest)
        sent.add(digest)
        room -= sizes[digest]
        if room <= 0 or time.monotonic() >= until:
            return
