"""Blobs of one process, gone when it ends; honest about digests and sizes, for tests and trials."""

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from control_plane.kit.errors import Refused

_PIECE = 1 << 16


class MemoryBlobs:
    """Keeps content in a directory that lives as long as this object."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="blobs-"))
        weakref.finalize(self, shutil.rmtree, self._home, ignore_errors=True)

    def find_missing(self, digests: Iterable[str]) -> frozenset[str]:
        """Say which of the digests are not stored."""
        return frozenset(digest for digest in digests if not self._file(digest).exists())

    def put(self, digest: str, source: IO[bytes], max_bytes: int) -> int:
        """Store what `source` gives if its digest is right."""
        content, size = bytearray(), 0
        while piece := source.read(_PIECE):
            size += len(piece)
            if size > max_bytes:
                raise Refused("blob_too_large", max_bytes=max_bytes)
            content += piece
        if hashlib.sha256(content).hexdigest() != digest:
            raise Refused("digest_mismatch", digest=digest)
        self._file(digest).write_bytes(content)
        return size

    def path(self, digest: str) -> Path:
        """Return a path from which the blob can be read."""
        file = self._file(digest)
        if not file.exists():
            raise Refused("blob_missing", digest=digest)
        return file

    def delete(self, digest: str) -> None:
        """Remove the blob; nothing happens if it is gone."""
        self._file(digest).unlink(missing_ok=True)

    def list_digests(self) -> Iterable[str]:
        """List what is stored."""
        return sorted(file.name for file in self._home.iterdir())

    def _file(self, digest: str) -> Path:
        return self._home / digest
