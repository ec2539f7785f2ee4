"""The lives of a tenant and of a region: made or adopted, looked at again and again, ended."""

from datetime import timedelta
from functools import partial

from sqlmodel import Session, col, select

from control_plane.engine.outcome import Again, Done, Go, Outcome
from control_plane.engine.registry import Ctx, Flow, Step
from control_plane.kit import clock
from control_plane.ledger import actions as ledger
from control_plane.ledger.rules import life_actor
from control_plane.ports.cloud.port import CloudObject, Image, TenantSpec
from control_plane.tenancy.models import Allocation, Region, RegionImage, Tenant
from control_plane.tenancy.rules import REGION_LIFE, TENANT_LIFE, TenantStatus

TENANT_REST = timedelta(minutes=5)
REGION_REST = timedelta(seconds=30)


def build(ctx: Ctx) -> Outcome:
    """Make the tenant's space, or adopt what an earlier try made."""
    _ensure(ctx)
    return Go("watch", after=TENANT_REST, writes=partial(_move, ctx, TenantStatus.ACTIVE))


def watch(ctx: Ctx) -> Outcome:
    """See that it is still there; make it again where somebody removed it."""
    _ensure(ctx)
    return Go("watch", after=TENANT_REST)


def wind_down(ctx: Ctx) -> Outcome:
    """Say that it is going; nothing new gets into it."""
    return Go("destroy", writes=partial(_move, ctx, TenantStatus.ENDING))


def destroy(ctx: Ctx) -> Outcome:
    """Remove the empty space, if the life is still ours to move."""
    if not ctx.holds_lease():
        return Again("lease_lost")
    tenant = _tenant(ctx)
    ctx.ports.cloud(tenant.region_id).destroy_tenant(tenant.id, ctx.fence)
    return Done(writes=partial(_move, ctx, TenantStatus.ENDED))


def observe(ctx: Ctx) -> Outcome:
    """Write down which images the region has, and what carries our tag without a row."""
    cloud = ctx.ports.cloud(ctx.claim.subject_id)
    images, objects = list(cloud.list_images()), list(cloud.list_objects())
    return Go(
        "observe",
        after=REGION_REST,
        writes=partial(_write_region, ctx, images=images, objects=objects),
    )


def stop(_ctx: Ctx) -> Outcome:
    """Stop looking at the region; nothing in it is touched."""
    return Done()


def _lane_of_tenant(session: Session, tenant_id: str) -> str | None:
    tenant = session.get(Tenant, tenant_id)
    return tenant.region_id if tenant is not None else None


TENANT_FLOW = Flow(
    birth=TENANT_LIFE,
    ending="wind_down",
    lane=_lane_of_tenant,
    steps={
        "build": Step(build, TENANT_LIFE.deadline),
        "watch": Step(watch),
        "wind_down": Step(wind_down),
        "destroy": Step(destroy),
    },
)
REGION_FLOW = Flow(
    birth=REGION_LIFE,
    ending="stop",
    lane=lambda _session, region_id: region_id,
    steps={"observe": Step(observe, REGION_LIFE.deadline), "stop": Step(stop)},
)


def _tenant(ctx: Ctx) -> Tenant:
    return ctx.load(lambda session: session.get_one(Tenant, ctx.claim.subject_id))


def _ensure(ctx: Ctx) -> None:
    tenant = _tenant(ctx)
    spec = TenantSpec(tenant.id, tenant.agency_id)
    ctx.ports.cloud(tenant.region_id).ensure_tenant(spec, ctx.fence)


def _move(ctx: Ctx, to: TenantStatus, session: Session) -> None:
    tenant = session.get_one(Tenant, ctx.claim.subject_id)
    if tenant.status == to:
        return
    before, tenant.status = tenant.status, to
    if to == TenantStatus.ENDED:
        tenant.ended_at = clock.now()
    session.add(tenant)
    ledger.append(
        session,
        actor_id=life_actor(ctx.claim.life_id),
        action=f"tenant.{to.value}",
        subject_id=tenant.id,
        agency_id=tenant.agency_id,
        payload={"name": tenant.name, "before": before},
    )


def _write_region(
    ctx: Ctx, session: Session, *, images: list[Image], objects: list[CloudObject]
) -> None:
    region = session.get_one(Region, ctx.claim.subject_id)
    region.observed_at = clock.now()
    region.orphans = _find_orphans(session, region, objects)
    session.add(region)
    _write_images(ctx, session, region, images)


def _write_images(ctx: Ctx, session: Session, region: Region, images: list[Image]) -> None:
    now = clock.now()
    query = select(RegionImage).where(col(RegionImage.region_id) == region.id)
    known = {row.digest: row for row in session.exec(query)}
    newest: dict[str, str] = {}
    for image in images:  # the newest of a family comes first
        newest.setdefault(image.family, image.digest)
        row = known.get(image.digest)
        if row is None:
            row = RegionImage(
                region_id=region.id,
                digest=image.digest,
                family=image.family,
                first_seen_at=now,
                last_seen_at=now,
            )
            ledger.append(
                session,
                actor_id=life_actor(ctx.claim.life_id),
                action="image.seen",
                subject_id=region.id,
                agency_id=None,
                payload={"family": image.family, "digest": image.digest},
            )
            known[image.digest] = row
        row.last_seen_at = now
    for row in known.values():
        row.is_current = newest.get(row.family) == row.digest
        session.add(row)


def _find_orphans(
    session: Session, region: Region, objects: list[CloudObject]
) -> list[dict[str, object]] | None:
    servers = select(Allocation.subject_id).where(col(Allocation.region_id) == region.id)
    tenants = select(Tenant.id).where(
        col(Tenant.region_id) == region.id, col(Tenant.status) != TenantStatus.ENDED
    )
    claimed = {*session.exec(servers), *session.exec(tenants)}
    orphans: list[dict[str, object]] = [
        {
            "kind": o.kind,
            "id": o.object_id,
            "tenant": o.tenant_id,
            "epoch": o.epoch,
            "holds_data": o.holds_data,
        }
        for o in objects
        if o.object_id not in claimed
    ]
    return orphans or None
