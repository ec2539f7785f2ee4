"""Bytes on their way into a store: decompressed within bounds, counted, and their digest known."""

import hashlib
import io
from collections.abc import Iterator
from typing import IO, cast

import zstandard

from control_plane.kit.errors import Refused

PIECE = 256 << 10
MAX_WINDOW = 8 << 20  # memory that a frame may ask for; zstd's own levels up to 19 stay within


def decompressed(source: IO[bytes]) -> IO[bytes]:
    """Return a stream of what a zstd frame holds; a bomb costs no more than its reader takes.

    Raises (on reading): Refused (`encoding_invalid`).
    """
    return cast("IO[bytes]", io.BufferedReader(_Frame(source), PIECE))


def checked_pieces(digest: str, source: IO[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the source's bytes; raise Refused at the end if they are not the digest's.

    Raises: Refused (`blob_too_large` as soon as there is one byte too many, `digest_mismatch`).
    """
    seen, hasher = 0, hashlib.sha256()
    while piece := source.read(min(PIECE, max_bytes - seen + 1)):
        seen += len(piece)
        if seen > max_bytes:
            raise Refused("blob_too_large", digest=digest, limit=max_bytes)
        hasher.update(piece)
        yield piece
    if hasher.hexdigest() != digest:
        raise Refused("digest_mismatch", digest=digest, actual=hasher.hexdigest())


class _Frame(io.RawIOBase):
    def __init__(self, source: IO[bytes]) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        self._reader = decompressor.stream_reader(source, closefd=False)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            piece = self._reader.read(len(buffer))
        except (zstandard.ZstdError, MemoryError) as error:
            raise Refused("encoding_invalid", why=str(error)) from error
        buffer[: len(piece)] = piece
        return len(piece)
