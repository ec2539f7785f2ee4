"""The doors through which content comes: what is missing, the bytes, and releases of them."""

from dataclasses import dataclass
from functools import partial
from typing import IO, Annotated, ClassVar

import anyio
from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from sqlmodel import Session
from starlette.requests import ClientDisconnect

from control_plane.identity.access import Desk, DeskDep, may
from control_plane.identity.rules import Actor, Permission
from control_plane.kit.errors import Problem, Refused
from control_plane.ports.blobs.stream import decompressed
from control_plane.releases import actions, queries
from control_plane.releases.rules import (
    MAX_RELEASE_BYTES,
    BlobTooLarge,
    EncodingUnknown,
    check_manifest,
)
from control_plane.releases.schemas import BlobOut, MissingIn, MissingOut, ReleaseIn, ReleaseOut
from control_plane.tenancy.queries import get_agency_for

router = APIRouter(prefix="/v1/agencies/{slug}", tags=["releases"])

Reader = Annotated[Actor, may(Permission.RELEASE_READ)]
Writer = Annotated[Actor, may(Permission.RELEASE_WRITE)]
MAX_MANIFEST_BYTES = 64 << 20  # 100,000 files with long names, and enough more to say "too many"
STALLED_S = 60  # an upload that brings nothing for so long is given up
FRAME_OVERHEAD = 1 << 10  # zstd adds at most 1/256 and a few bytes to what can't be compressed


class UploadCut(Problem):
    """The connection brought no more bytes."""

    code: ClassVar[str] = "upload_cut"
    status: ClassVar[int] = 408
    title: ClassVar[str] = "The upload broke off"
    mend: ClassVar[str] = "Run the same deployment again: it uploads only what is missing."


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that have arrived, and how many they may be once decompressed."""

    spool: IO[bytes]
    is_compressed: bool
    max_bytes: int

    def open(self) -> IO[bytes]:
        """Return them from their beginning."""
        self.spool.seek(0)
        return decompressed(self.spool) if self.is_compressed else self.spool


@router.post("/blobs/missing")
def find_missing(
    desk: DeskDep, actor: Writer, request: Request, slug: str, body: MissingIn
) -> MissingOut:
    """Say which content must be sent; what another agency has sent counts as missing."""
    agency_id = _agency_of(desk, actor, slug, Permission.RELEASE_WRITE)

    def act(session: Session) -> MissingOut:
        missing = actions.find_missing_blobs(session, agency_id, body.digests)
        return MissingOut(missing=sorted(missing))

    return desk.once(request, actor, body, act)


@router.put(
    "/blobs/{digest}",
    max_body_size=MAX_RELEASE_BYTES + MAX_RELEASE_BYTES // 256 + FRAME_OVERHEAD,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The bytes, as they are or as one zstd frame (Content-Encoding: zstd)",
            "content": {"application/octet-stream": {"schema": {}}},
        }
    },
)
async def put_blob(
    desk: DeskDep,
    actor: Writer,
    request: Request,
    slug: str,
    digest: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bytes")],
    size: Annotated[int, Query(ge=0, le=MAX_RELEASE_BYTES, description="Bytes, decompressed")],
) -> BlobOut:
    """Send content; sending it twice changes nothing, and other bytes than named are refused."""
    is_compressed = _is_compressed(request)
    agency_id = await to_thread.run_sync(_agency_of, desk, actor, slug, Permission.RELEASE_WRITE)
    with await to_thread.run_sync(_spool, desk) as spool:
        await _receive(request, spool, size + size // 256 + FRAME_OVERHEAD)
        content = Content(spool, is_compressed, size)
        await to_thread.run_sync(_store, desk, agency_id, digest, content)
    return BlobOut(digest=digest, size=size)


@router.post("/releases", status_code=201, max_body_size=MAX_MANIFEST_BYTES)
def create_release(
    desk: DeskDep, actor: Writer, request: Request, response: Response, slug: str, body: ReleaseIn
) -> ReleaseOut:
    """Make a release of content that was sent; the same files are the same release."""
    manifest = check_manifest([file.file() for file in body.files])
    agency_id = _agency_of(desk, actor, slug, Permission.RELEASE_WRITE)
    made: list[ReleaseOut] = []

    def act(session: Session, size: int) -> ReleaseOut:
        actions.record_blob(session, agency_id, manifest.digest, size)
        release = actions.create_release(session, actor.person_id, agency_id, manifest)
        return ReleaseOut.of(release)

    actions.put_manifest(
        desk.blobs,
        manifest,
        lambda size: made.append(desk.once(request, actor, body, partial(act, size=size))),
    )
    response.headers["Location"] = f"/v1/agencies/{slug}/releases/{made[0].id}"
    return made[0]


@router.get("/releases/{release_id}")
def show_release(desk: DeskDep, actor: Reader, slug: str, release_id: str) -> ReleaseOut:
    """Show a release."""
    with desk.reading() as session:
        agency = get_agency_for(session, actor, slug, Permission.RELEASE_READ)
        shown = ReleaseOut.of(queries.get_release(session, agency.id, release_id))
    desk.note_read(actor, "release.read", release_id, agency.id)
    return shown


def _agency_of(desk: Desk, actor: Actor, slug: str, permission: Permission) -> str:
    with desk.reading() as session:
        return get_agency_for(session, actor, slug, permission).id


def _is_compressed(request: Request) -> bool:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"zstd", "identity"}:
        raise EncodingUnknown(encoding=encoding[:40])
    return encoding == "zstd"


def _spool(desk: Desk) -> IO[bytes]:
    try:
        return desk.blobs.spool()
    except Refused as refused:
        raise actions.refusal_of(refused) from refused


async def _receive(request: Request, spool: IO[bytes], max_bytes: int) -> None:
    received = 0
    try:
        pieces = request.stream()
        while True:
            with anyio.fail_after(STALLED_S):
                piece = await anext(pieces, None)
            if piece is None:
                return
            received += len(piece)
            if received > max_bytes:
                raise BlobTooLarge(limit=max_bytes)
            spool.write(piece)
    except (ClientDisconnect, TimeoutError) as error:
        raise UploadCut from error


def _store(desk: Desk, agency_id: str, digest: str, content: Content) -> None:
    def record(stored_bytes: int) -> None:
        with desk.writing() as session:
            actions.record_blob(session, agency_id, digest, stored_bytes)

    actions.store(desk.blobs, digest, content.open, content.max_bytes, record)
