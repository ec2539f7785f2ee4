"""Content comes in: which of it an agency has sent, and releases made of it.

Storing bytes is an effect and happens outside of any transaction; the row that says "this agency
has sent it" follows. Collection of garbage may take the bytes away in between (it looks at rows),
so after the row is committed one looks again: `store`.
"""

import io
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import IO, Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, update

from control_plane.kit import clock
from control_plane.kit.errors import Problem, Refused
from control_plane.kit.ids import new_id
from control_plane.ledger import actions as ledger
from control_plane.ports.blobs.port import Blobs
from control_plane.releases import queries
from control_plane.releases.models import AgencyBlob, Blob, Release
from control_plane.releases.rules import (
    BlobsMissing,
    BlobTooLarge,
    DigestWrong,
    EncodingInvalid,
    Manifest,
    ReleaseExpired,
    StoreFull,
    decode_manifest,
    encode_manifest,
)
from control_plane.releases.rules.manifest import Offence, refusal

LEASE = timedelta(hours=24)  # from a first answer "not missing" to the release that uses it
MISSING_LISTED = 100
Source = Callable[[], IO[bytes]]
_REFUSALS: dict[str, type[Problem]] = {
    "blob_too_large": BlobTooLarge,
    "digest_mismatch": DigestWrong,
    "disk_full": StoreFull,
    "encoding_invalid": EncodingInvalid,
}


def store(
    blobs: Blobs, digest: str, source: Source, size: int, record: Callable[[int], None]
) -> None:
    """Store bytes, let `record` commit the row of them (given the size), and look again.

    `source` is asked for the bytes from their beginning, perhaps twice. Raises: DigestWrong,
    BlobTooLarge, EncodingInvalid, StoreFull.
    """
    record(_put(blobs, digest, source(), size))
    if blobs.find_missing([digest]):
        _put(blobs, digest, source(), size)


def refusal_of(refused: Refused) -> Problem | Refused:
    """Return what a store's refusal is to the person who sent something."""
    kind = _REFUSALS.get(refused.code)
    return refused if kind is None else kind(**refused.facts)


def record_blob(session: Session, agency_id: str, digest: str, size: int) -> None:
    """Write that an agency has sent this content."""
    now = clock.now()
    _insert(session, Blob, {"digest": digest, "size": size, "stored_at": now, "copies": 1})
    _insert(
        session,
        AgencyBlob,
        {"agency_id": agency_id, "digest": digest, "leased_until": now + LEASE},
        renewed="leased_until",
    )


def find_missing_blobs(session: Session, agency_id: str, digests: Iterable[str]) -> frozenset[str]:
    """Say what an agency has not sent, and keep what it has until the release is made."""
    asked = frozenset(digests)
    known = queries.sizes_sent(session, agency_id, asked)
    _renew_leases(session, agency_id, known)
    return asked - known.keys()


def put_manifest(blobs: Blobs, manifest: Manifest, record: Callable[[int], None]) -> None:
    """Store the manifest itself; `record` as in `store`."""
    encoded = encode_manifest(manifest)
    store(blobs, manifest.digest, partial(io.BytesIO, encoded), len(encoded), record)


def read_manifest(blobs: Blobs, manifest_digest: str) -> Manifest:
    """Return the files of a release. Raises: Refused (`blob_missing`)."""
    return decode_manifest(blobs.path(manifest_digest).read_bytes())


def create_release(session: Session, actor_id: str, agency_id: str, manifest: Manifest) -> Release:
    """Make a release of content that is there; the same content is the same release.

    Raises: BlobsMissing, ManifestRefused where a size isn't that of the content.
    """
    _require_content(session, agency_id, manifest)
    _renew_leases(session, agency_id, [*manifest.digests(), manifest.digest])
    present = queries.find_release(session, agency_id, manifest.digest)
    if present is not None:
        return present
    release = Release(
        id=new_id("rel"),
        agency_id=agency_id,
        manifest_digest=manifest.digest,
        file_count=len(manifest.files),
        total_bytes=manifest.total_bytes,
        created_at=clock.now(),
        created_by=actor_id,
    )
    session.add(release)
    session.flush()
    ledger.append(
        session,
        actor_id=actor_id,
        action="release.created",
        subject_id=release.id,
        agency_id=agency_id,
        payload={"manifest": manifest.digest, "files": release.file_count},
    )
    return release


def keep_content(session: Session, agency_id: str, manifest: Manifest) -> None:
    """Keep a release's content from collection. Raises: ReleaseExpired if some is gone."""
    needed = manifest.digests() | {manifest.digest}
    if needed - queries.sizes_sent(session, agency_id, needed).keys():
        raise ReleaseExpired
    _renew_leases(session, agency_id, needed)


def _require_content(session: Session, agency_id: str, manifest: Manifest) -> None:
    sizes = queries.sizes_sent(session, agency_id, manifest.digests())
    missing = sorted(manifest.digests() - sizes.keys())
    if missing:
        raise BlobsMissing(count=len(missing), missing=missing[:MISSING_LISTED])
    wrong = [Offence(f.path, "size") for f in manifest.files if sizes[f.digest] != f.size]
    if wrong:
        raise refusal(wrong)


def _put(blobs: Blobs, digest: str, source: IO[bytes], size: int) -> int:
    try:
        return blobs.put(digest, source, size)
    except Refused as refused:
        raise refusal_of(refused) from refused


def _renew_leases(session: Session, agency_id: str, digests: Iterable[str]) -> None:
    until = clock.now() + LEASE
    for batch in queries.batches(digests):
        session.connection().execute(
            update(AgencyBlob)
            .where(col(AgencyBlob.agency_id) == agency_id, col(AgencyBlob.digest).in_(batch))
            .values(leased_until=until)
        )


def _insert(
    session: Session, table: Any, values: dict[str, Any], renewed: str | None = None
) -> None:
    connection: Connection = session.connection()
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**values)
    if renewed is None:
        connection.execute(statement.on_conflict_do_nothing())
        return
    keys = list(table.__table__.primary_key.columns)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=keys, set_={renewed: getattr(statement.excluded, renewed)}
        )
    )
