"""Every SELECT of releases."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, or_, select

from control_plane.identity.rules import NotFound
from control_plane.kit.pagination import Page, decode_cursor, page_of
from control_plane.releases.models import AgencyBlob, Blob, Deployment, Release
from control_plane.releases.rules import DeploymentStatus

AT_ONCE = 1_000  # values in one IN list
KEPT_DEPLOYMENTS = 10  # of a hosting: how far back one can roll
KEPT_UNDEPLOYED = timedelta(days=7)
_IN_USE = (DeploymentStatus.QUEUED, DeploymentStatus.RUNNING, DeploymentStatus.LIVE)


def batches(values: Iterable[str]) -> Iterator[list[str]]:
    """Cut values into lists that fit into one statement."""
    rest = iter(values)
    while batch := list(islice(rest, AT_ONCE)):
        yield batch


def sizes_sent(session: Session, agency_id: str, digests: Iterable[str]) -> dict[str, int]:
    """Return the size of those blobs that this agency itself has sent."""
    known: dict[str, int] = {}
    for batch in batches(digests):
        query = (
            select(Blob.digest, Blob.size)
            .join(AgencyBlob, col(AgencyBlob.digest) == col(Blob.digest))
            .where(col(AgencyBlob.agency_id) == agency_id, col(Blob.digest).in_(batch))
        )
        known.update(session.exec(query).all())
    return known


def list_unknown_blobs(session: Session, digests: Collection[str]) -> frozenset[str]:
    """Return those of the digests for which there is no row at all."""
    known: set[str] = set()
    for batch in batches(digests):
        known.update(session.exec(select(Blob.digest).where(col(Blob.digest).in_(batch))))
    return frozenset(digests) - known


def find_release(session: Session, agency_id: str, manifest_digest: str) -> Release | None:
    """Return the agency's release with this content."""
    query = select(Release).where(
        col(Release.agency_id) == agency_id, col(Release.manifest_digest) == manifest_digest
    )
    return session.exec(query).first()


def get_release(session: Session, agency_id: str, release_id: str) -> Release:
    """Return a release of the agency. Raises: NotFound."""
    release = session.get(Release, release_id)
    if release is None or release.agency_id != agency_id:
        raise NotFound(kind="release", id=release_id)
    return release


def find_deployment(session: Session, deployment_id: str) -> Deployment | None:
    """Return a deployment."""
    return session.get(Deployment, deployment_id)


def find_deployment_number(session: Session, hosting_id: str, number: int) -> Deployment | None:
    """Return the deployment of a hosting that has this number."""
    query = select(Deployment).where(
        col(Deployment.hosting_id) == hosting_id, col(Deployment.number) == number
    )
    return session.exec(query).first()


def find_live_before(session: Session, hosting_id: str, number: int | None) -> Deployment | None:
    """Return the last deployment that was live before this number (None: before any)."""
    query = select(Deployment).where(
        col(Deployment.hosting_id) == hosting_id,
        col(Deployment.status) == DeploymentStatus.SUPERSEDED,
    )
    if number is not None:
        query = query.where(col(Deployment.number) < number)
    return session.exec(query.order_by(col(Deployment.number).desc()).limit(1)).first()


def list_with_status(
    session: Session, hosting_id: str, statuses: Collection[DeploymentStatus]
) -> Sequence[Deployment]:
    """Return the hosting's deployments in any of these states, by number."""
    query = select(Deployment).where(
        col(Deployment.hosting_id) == hosting_id, col(Deployment.status).in_(statuses)
    )
    return session.exec(query.order_by(col(Deployment.number))).all()


def highest_number(session: Session, hosting_id: str) -> int:
    """Return the number of the hosting's newest deployment; -1 if it has none."""
    query = select(func.max(col(Deployment.number))).where(col(Deployment.hosting_id) == hosting_id)
    highest: int | None = session.exec(query).one()
    return -1 if highest is None else highest


def list_deployments(
    session: Session, hosting_id: str, cursor: str | None, limit: int
) -> Page[Deployment]:
    """Return a hosting's deployments, newest first."""
    query = select(Deployment).where(col(Deployment.hosting_id) == hosting_id)
    before = decode_cursor(cursor)
    if before is not None and before.isdecimal():
        query = query.where(col(Deployment.number) < int(before))
    rows = session.exec(query.order_by(col(Deployment.number).desc()).limit(limit + 1)).all()
    return page_of(rows, limit, lambda deployment: str(deployment.number))


def list_agencies_with_blobs(session: Session) -> Sequence[str]:
    """Return the agencies that have sent anything that is still kept."""
    return session.exec(select(AgencyBlob.agency_id).distinct()).all()


def list_kept_manifests(session: Session, agency_id: str, now: datetime) -> Sequence[str]:
    """Return the manifests whose content an agency may still deploy, or has live."""
    newer = aliased(Deployment)
    newer_ones = (
        select(func.count())
        .select_from(newer)
        .where(newer.hosting_id == Deployment.hosting_id, newer.number > Deployment.number)
        .correlate(Deployment)
        .scalar_subquery()
    )
    used = select(Deployment.release_id).where(
        col(Deployment.agency_id) == agency_id,
        col(Deployment.release_id).is_not(None),
        or_(col(Deployment.status).in_(_IN_USE), newer_ones < KEPT_DEPLOYMENTS),
    )
    query = select(Release.manifest_digest).where(
        col(Release.agency_id) == agency_id,
        or_(col(Release.created_at) > now - KEPT_UNDEPLOYED, col(Release.id).in_(used)),
    )
    return session.exec(query).all()


def list_unleased(session: Session, agency_id: str, now: datetime) -> Sequence[str]:
    """Return what an agency sent and nobody has asked about for longer than a lease."""
    query = select(AgencyBlob.digest).where(
        col(AgencyBlob.agency_id) == agency_id, col(AgencyBlob.leased_until) <= now
    )
    return session.exec(query).all()
