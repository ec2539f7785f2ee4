"""The life that collects garbage: rows first, then the bytes that no row names any more."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from sqlmodel import Session

from control_plane.engine.outcome import Done, Go, Outcome
from control_plane.engine.registry import Ctx, Flow, Step
from control_plane.kit import clock
from control_plane.kit.db import database_now
from control_plane.kit.log import get_log
from control_plane.ports.blobs.port import Blobs
from control_plane.releases import queries
from control_plane.releases.actions import forget_blobs, read_manifest
from control_plane.releases.rules import GC_BIRTH

log = get_log("releases")
REST = timedelta(hours=1)
MOST_AT_ONCE = 5_000  # of an agency, and of the store: a step must stay far below its lease
# Bytes without a row may be on their way to one: an upload, a placeholder being delivered.
IDLE = timedelta(hours=1)


def collect(ctx: Ctx) -> Outcome:
    """Find what no kept release uses and nobody has a lease on; forget its rows."""
    unused = {
        agency_id: _find_unused(ctx, agency_id)
        for agency_id in ctx.load(queries.list_agencies_with_blobs)
    }
    return Go("sweep", writes=partial(forget_blobs, unused=unused))


def sweep(ctx: Ctx) -> Outcome:
    """Remove bytes without a row, having looked once more after they were out of sight."""
    blobs = ctx.ports.blobs
    _decide(ctx, list(blobs.list_retired()))
    for unclaimed in _find_unclaimed(ctx, blobs):
        for digest in unclaimed:
            blobs.retire(digest)
        _decide(ctx, unclaimed)
    return Go("collect", after=REST)


def stop(_ctx: Ctx) -> Outcome:
    """Stop collecting; nothing is removed by that."""
    return Done()


FLOW = Flow(
    birth=GC_BIRTH,
    ending="stop",
    steps={
        "collect": Step(collect, GC_BIRTH.deadline),
        "sweep": Step(sweep, GC_BIRTH.deadline),
        "stop": Step(stop),
    },
)


def _find_unused(ctx: Ctx, agency_id: str) -> list[str]:
    def look(session: Session) -> tuple[list[str], list[str]]:
        now = database_now(session)
        kept = queries.list_kept_manifests(session, agency_id, now)
        return list(queries.list_unleased(session, agency_id, now)), list(kept)

    unleased, kept = ctx.load(look)
    candidates = set(unleased) - set(kept)
    for manifest_digest in kept if candidates else ():
        candidates -= read_manifest(ctx.ports.blobs, manifest_digest).digests()
    return sorted(candidates)[:MOST_AT_ONCE]


def _find_unclaimed(ctx: Ctx, blobs: Blobs) -> Iterator[list[str]]:
    removed = 0
    for batch in queries.batches(blobs.list_digests(clock.now() - IDLE)):
        unclaimed = sorted(ctx.load(partial(queries.list_unknown_blobs, digests=batch)))
        removed += len(unclaimed)
        yield unclaimed
        if removed >= MOST_AT_ONCE:
            return


def _decide(ctx: Ctx, retired: list[str]) -> None:
    unclaimed = ctx.load(partial(queries.list_unknown_blobs, digests=retired))
    for digest in retired:
        if digest in unclaimed:
            ctx.ports.blobs.delete(digest)
        else:
            ctx.ports.blobs.restore(digest)  # somebody sent it again in that moment
    if unclaimed:
        log.info("blobs_collected", count=len(unclaimed))
