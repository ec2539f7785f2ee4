"""Blobs as files of one directory tree: `<aa>/<digest>`, readable by the installation's group.

A blob appears by one rename after its bytes are on disk, so that whatever can be seen is whole.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, cast

from control_plane.kit.errors import Refused
from control_plane.ports.blobs.stream import checked_pieces

FILE_MODE = 0o640
FOLDER_MODE = 0o2770  # the web writes, the worker collects: both are in the group
KEPT_FREE_BYTES = 256 << 20  # the database shares the disk and must never be the one to fail
SPOOLED_BYTES = 1 << 20  # most files of a site are smaller
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class FileBlobs:
    """A store below `root`; safe for several threads and processes at once."""

    def __init__(self, root: Path, kept_free_bytes: int = KEPT_FREE_BYTES) -> None:
        self._root, self._kept_free_bytes = root, kept_free_bytes
        self._incoming, self._retired = root / "incoming", root / "retired"

    def find_missing(self, digests: Iterable[str]) -> frozenset[str]:
        """Say which of the digests are not stored."""
        return frozenset(digest for digest in digests if not self._place(digest).is_file())

    def put(self, digest: str, source: IO[bytes], max_bytes: int) -> int:
        """Store what `source` gives if its digest is right; return its size. Idempotent."""
        place = self._place(digest)
        if place.is_file():
            size = sum(len(piece) for piece in checked_pieces(digest, source, max_bytes))
            with suppress(FileNotFoundError):  # retired meanwhile: the caller looks once more
                os.utime(place)
            return size
        with _disk_errors(digest):
            self._check_room(max_bytes)
            _make_folder(self._incoming)
            return self._write(digest, place, source, max_bytes)

    def path(self, digest: str) -> Path:
        """Return the blob's file. Raises `Refused` (`blob_missing`)."""
        place = self._place(digest)
        if not place.is_file():
            raise Refused("blob_missing", digest=digest)
        return place

    def spool(self) -> IO[bytes]:
        """Return a temporary file: in memory while small, then unnamed on the store's disk."""
        self._check_room(0)
        _make_folder(self._incoming)
        return cast(
            "IO[bytes]", tempfile.SpooledTemporaryFile(SPOOLED_BYTES, dir=str(self._incoming))
        )

    def list_digests(self, put_before: datetime | None = None) -> Iterator[str]:
        """List what is stored, or only what nobody has put since a moment."""
        limit = float("inf") if put_before is None else put_before.timestamp()
        for folder in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            entries = [entry for entry in os.scandir(folder) if entry.is_file()]
            yield from sorted(entry.name for entry in entries if entry.stat().st_mtime < limit)

    def retire(self, digest: str) -> None:
        """Take the blob out of sight by one rename."""
        _make_folder(self._retired)
        _rename(self._place(digest), self._retired / digest)

    def restore(self, digest: str) -> None:
        """Bring a retired blob back; one that was sent again meanwhile is the same."""
        place = self._place(digest)
        _make_folder(place.parent)
        _rename(self._retired / digest, place)

    def delete(self, digest: str) -> None:
        """Remove a retired blob's file."""
        (self._retired / digest).unlink(missing_ok=True)

    def list_retired(self) -> Iterable[str]:
        """List what is retired."""
        return sorted(path.name for path in self._retired.glob("*"))

    def _place(self, digest: str) -> Path:
        return self._root / digest[:2] / digest

    def _check_room(self, need_bytes: int) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._root).free
        if free < need_bytes + self._kept_free_bytes:
            raise Refused("disk_full", need=need_bytes, free=free)

    def _write(self, digest: str, place: Path, source: IO[bytes], max_bytes: int) -> int:
        with tempfile.NamedTemporaryFile(dir=self._incoming, delete=False) as file:
            temporary = Path(file.name)
            try:
                size = sum(file.write(p) for p in checked_pieces(digest, source, max_bytes))
                file.flush()
                os.fchmod(file.fileno(), FILE_MODE)
                os.fsync(file.fileno())
                _make_folder(place.parent)
                temporary.rename(place)  # of two at once, either is right
            finally:
                temporary.unlink(missing_ok=True)
        _sync_folder(place.parent)
        return size


@contextmanager
def _disk_errors(digest: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise Refused("disk_full", digest=digest) from error
        raise


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(FOLDER_MODE)


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except FileNotFoundError:
        return  # gone, or another process was first: either way nothing is left to do
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
