"""Content goes up: only what the platform lacks, compressed, several at once, again if cut."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import zstandard
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from control_plane.cli.client import Client
from control_plane.cli.terminal import err, note, tr
from control_plane.cli.walking import Folder

ASKED_AT_ONCE = 1_000  # the API answers for so many digests
PIECE = 256 << 10
LEVEL = 3
# Compressed already: trying again only costs time.
_DENSE = frozenset(
    {".7z", ".avif", ".br", ".bz2", ".gif", ".gz", ".jpeg", ".jpg", ".m4a", ".m4v", ".mov"}
    | {".mp3", ".mp4", ".ogg", ".png", ".rar", ".webm", ".webp", ".woff", ".woff2", ".xz"}
    | {".zip", ".zst"}
)
Advance = Callable[[int], None]


def find_missing(client: Client, agency: str, folder: Folder) -> list[str]:
    """Return which of the folder's content the platform lacks."""
    missing: list[str] = []
    waiting = iter(sorted(folder.places))
    while batch := list(islice(waiting, ASKED_AT_ONCE)):
        path = f"/v1/agencies/{agency}/blobs/missing"
        missing += client.post(path, {"digests": batch})["missing"]
    return missing


def upload(client: Client, agency: str, folder: Folder, digests: list[str], threads: int) -> int:
    """Send content; return how many bytes it was, uncompressed. Raises: Stop."""
    sizes = {file.digest: file.size for file in folder.manifest.files}
    total = sum(sizes[digest] for digest in digests)
    with _progress(len(digests), total) as advance, ThreadPoolExecutor(threads) as pool:

        def send(digest: str) -> None:
            _send(client, agency, (digest, sizes[digest], folder.places[digest]), advance)

        waiting = [pool.submit(send, digest) for digest in digests]
        try:
            for done in waiting:
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return total


def release_document(folder: Folder) -> Mapping[str, Any]:
    """Return the folder's files as the API takes them."""
    return {
        "files": [
            {"path": f.path, "digest": f.digest, "size": f.size, "mode": f"{f.mode:04o}"}
            for f in folder.manifest.files
        ]
    }


def _send(client: Client, agency: str, blob: tuple[str, int, Path], advance: Advance) -> None:
    digest, size, place = blob
    is_dense = place.suffix.lower() in _DENSE
    headers = {} if is_dense else {"Content-Encoding": "zstd"}
    sent = 0

    def count(read_bytes: int) -> None:
        nonlocal sent
        sent += read_bytes
        advance(read_bytes)

    def body() -> Iterator[bytes]:
        nonlocal sent
        advance(-sent)  # a second attempt begins anew
        sent = 0
        return _pieces(place, count) if is_dense else _compressed(place, count)

    path = f"/v1/agencies/{agency}/blobs/{digest}"
    client.send("PUT", path, body, params={"size": size}, headers=headers)


def _pieces(place: Path, advance: Advance) -> Iterator[bytes]:
    with place.open("rb") as file:
        while piece := file.read(PIECE):
            advance(len(piece))
            yield piece


def _compressed(place: Path, advance: Advance) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(level=LEVEL).compressobj()
    for piece in _pieces(place, advance):
        if squeezed := compressor.compress(piece):
            yield squeezed
    yield compressor.flush()


@contextmanager
def _progress(count: int, total: int) -> Iterator[Advance]:
    note(tr("Uploading {count} files, {bytes} bytes", count=count, bytes=total))
    console = err()
    if not console.is_terminal or not count:
        yield lambda _bytes: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(tr("Upload"), total=total)
        yield lambda read_bytes: progress.advance(task, read_bytes)
