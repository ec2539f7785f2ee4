"""Blobs that last as long as their object: for tests and for trying things out.

A blob is asked for by its path, so the bytes lie in a temporary directory; what is stored and what
is retired is known in memory only.
"""

import io
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import IO

from control_plane.kit import clock
from control_plane.kit.errors import Refused
from control_plane.kit.ids import new_id
from control_plane.ports.blobs.stream import checked_pieces


class MemoryBlobs:
    """A store with a capacity; what it holds is gone with it."""

    def __init__(self, capacity_bytes: int = 1 << 40) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="edubba-blobs-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._lock, self._free_bytes = Lock(), capacity_bytes
        self._stored: dict[str, Path] = {}
        self._retired: dict[str, Path] = {}
        self._put_at: dict[str, datetime] = {}

    def find_missing(self, digests: Iterable[str]) -> frozenset[str]:
        """Say which of the digests are not stored."""
        return frozenset(digests) - self._stored.keys()

    def put(self, digest: str, source: IO[bytes], max_bytes: int) -> int:
        """Store what `source` gives if its digest is right; return its size. Idempotent."""
        if digest in self._stored:
            self._put_at[digest] = clock.now()
            return sum(len(piece) for piece in checked_pieces(digest, source, max_bytes))
        if max_bytes > self._free_bytes:
            raise Refused("disk_full", need=max_bytes, free=self._free_bytes)
        content = b"".join(checked_pieces(digest, source, max_bytes))
        with self._lock:
            if digest not in self._stored:
                path = self._folder / new_id("blb")
                path.write_bytes(content)
                self._stored[digest], self._put_at[digest] = path, clock.now()
                self._free_bytes -= len(content)
        return len(content)

    def path(self, digest: str) -> Path:
        """Return the blob's file. Raises `Refused` (`blob_missing`)."""
        path = self._stored.get(digest)
        if path is None:
            raise Refused("blob_missing", digest=digest)
        return path

    def spool(self) -> IO[bytes]:
        """Return a temporary file in memory."""
        if not self._free_bytes:
            raise Refused("disk_full", free=0)
        return io.BytesIO()

    def list_digests(self, put_before: datetime | None = None) -> Iterable[str]:
        """List what is stored, or only what nobody has put since a moment."""
        if put_before is None:
            return sorted(self._stored)
        return sorted(digest for digest in self._stored if self._put_at[digest] < put_before)

    def retire(self, digest: str) -> None:
        """Take the blob out of sight."""
        with self._lock:
            if digest in self._stored:
                self._retired[digest] = self._stored.pop(digest)

    def restore(self, digest: str) -> None:
        """Bring a retired blob back; one that was sent again meanwhile is the same."""
        with self._lock:
            if digest in self._retired:
                self._stored[digest] = self._retired.pop(digest)

    def delete(self, digest: str) -> None:
        """Remove a retired blob's bytes."""
        with self._lock:
            path = self._retired.pop(digest, None)
            if path is not None:
                self._free_bytes += path.stat().st_size
                path.unlink()

    def list_retired(self) -> Iterable[str]:
        """List what is retired."""
        return sorted(self._retired)
