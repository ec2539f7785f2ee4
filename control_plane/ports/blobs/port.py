"""Blobs: content named by the SHA-256 of its bytes; written once, never changed.

A blob is taken away in two steps, so that a client who sends the same content in that moment
loses nothing: `retire` takes it out of sight, and after one more look at the rows it is either
`restore`d or `delete`d.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol


class Blobs(Protocol):
    """Raises `Unavailable` or `Refused` (`digest_mismatch`, `disk_full`, `blob_too_large`)."""

    def find_missing(self, digests: Iterable[str]) -> frozenset[str]:
        """Say which of the digests (64 hex digits) are not stored."""

    def put(self, digest: str, source: IO[bytes], max_bytes: int) -> int:
        """Store what `source` gives if its digest is right; return its size. Idempotent.

        The source is read to its end also where the blob is stored already: whoever knows a
        digest must still show the bytes.
        """

    def path(self, digest: str) -> Path:
        """Return a path from which the blob can be read. Raises `Refused` (`blob_missing`)."""

    def spool(self) -> IO[bytes]:
        """Return an unnamed temporary file for bytes that are still arriving, beside the store.

        It is gone when closed. Raises `Refused` (`disk_full`), also on writing.
        """

    def list_digests(self, put_before: datetime | None = None) -> Iterable[str]:
        """List what is stored, or only what nobody has put since a moment."""

    def retire(self, digest: str) -> None:
        """Take the blob out of sight and keep its bytes; nothing happens if it is gone."""

    def restore(self, digest: str) -> None:
        """Bring a retired blob back; nothing happens if none is retired."""

    def delete(self, digest: str) -> None:
        """Remove the bytes of a retired blob for good; nothing happens if none is retired."""

    def list_retired(self) -> Iterable[str]:
        """List what is retired, also by a process that died before it could decide."""
