"""Blobs: content named by the SHA-256 of its bytes; written once, never changed."""

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Protocol


class Blobs(Protocol):
    """Raises `Unavailable` or `Refused` (`digest_mismatch`, `disk_full`, `blob_too_large`)."""

    def find_missing(self, digests: Iterable[str]) -> frozenset[str]:
        """Say which of the digests (64 hex digits) are not stored."""

    def put(self, digest: str, source: IO[bytes], max_bytes: int) -> int:
        """Store what `source` gives if its digest is right; return its size. Idempotent."""

    def path(self, digest: str) -> Path:
        """Return a path from which the blob can be read. Raises `Refused` (`blob_missing`)."""

    def delete(self, digest: str) -> None:
        """Remove the blob; nothing happens if it is gone."""

    def list_digests(self) -> Iterable[str]:
        """List what is stored, for garbage collection."""
