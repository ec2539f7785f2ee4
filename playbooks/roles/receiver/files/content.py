"""Content that comes into a server: blobs by their digest, and the trees that are made of them.

What comes in is checked here again, whoever sent it: each digest, each path. A part of `receive`.
"""

import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SITE = Path(os.environ.get("EDUBBA_SITE", "/srv/site"))
PERSISTENT = Path(os.environ.get("EDUBBA_PERSISTENT", "/srv/persistent"))
KEPT = Path(os.environ.get("EDUBBA_KEPT", "/etc/hosting/persistent.json"))
GENERATED = Path(os.environ.get("EDUBBA_GENERATED", "/srv/app/generated"))
MADE = KEPT.with_name("generated.json")
DIGEST = re.compile(r"[0-9a-f]{64}")
LINE_MAX = 8192
PATH_MAX = 1024  # bytes; a name's own limit of 255 is the file system's
CHUNK = 1 << 20


class Trouble(Exception):
    """A refusal: its code and facts go to the caller."""

    def __init__(self, code: str, **facts: Any) -> None:
        self.code, self.facts = code, facts
        super().__init__(code)


def blob(digest: str) -> Path:
    """Where content lies, by its digest."""
    return SITE / "blobs" / digest[:2] / digest


def lines() -> Iterator[str]:
    """Give standard input's lines up to `end`; a stream without it was cut off."""
    while True:
        line = sys.stdin.buffer.readline(LINE_MAX)
        if not line.endswith(b"\n"):
            raise Trouble("stream_cut")
        text = line[:-1].decode()
        if text == "end":
            return
        yield text


def sync() -> None:
    """Bring this file system, and no other, to its disk."""
    handle = os.open(SITE, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(handle)


def missing() -> None:
    """Print the digests that are not here."""
    for digest in lines():
        if not DIGEST.fullmatch(digest):
            raise Trouble("bad_digest")
        if not blob(digest).is_file():
            sys.stdout.write(digest + "\n")


def put() -> dict[str, Any]:
    """Take blobs from standard input."""
    count = 0
    temporary = SITE / "blobs" / f".incoming-{os.getpid()}"
    try:
        for line in lines():
            digest, _, size = line.partition(" ")
            if not DIGEST.fullmatch(digest) or not re.fullmatch(r"\d{1,15}", size):
                raise Trouble("bad_frame")
            _take(digest, int(size), temporary)
            count += 1
    finally:
        temporary.unlink(missing_ok=True)
    sync()
    return {"blobs": count}


def _take(digest: str, size: int, temporary: Path) -> None:
    hasher = hashlib.sha256()
    with temporary.open("wb") as file:
        left = size
        while left:
            chunk = sys.stdin.buffer.read(min(left, CHUNK))
            if not chunk:
                raise Trouble("stream_cut")
            hasher.update(chunk)
            file.write(chunk)
            left -= len(chunk)
    if hasher.hexdigest() != digest:
        raise Trouble("digest_mismatch", digest=digest)
    temporary.chmod(0o644)
    # nginx makes the ETag of time and size. With a time made from the digest it is the same
    # wherever the same content is, and differs where it differs.
    time = 1_000_000_000 + int(digest[:7], 16)
    os.utime(temporary, (time, time))
    place = blob(digest)
    place.parent.mkdir(exist_ok=True)
    temporary.rename(place)


def safe_parts(path: str) -> list[str]:
    """Return a release path's parts. Raises Trouble if it could lead out of the tree."""
    parts = path.split("/")
    if (
        not path
        or len(path.encode()) > PATH_MAX
        or any(part in {"", ".", ".."} for part in parts)
        or any(unicodedata.category(letter) == "Cc" for letter in path)
        or unicodedata.normalize("NFC", path) != path
    ):
        raise Trouble("path_malformed", path=path[:200])
    return parts


def build(new: Path, about: dict[str, Any], files: Iterator[str]) -> None:
    """Make the tree of a deployment, of blobs that are here."""
    tree = new / "tree"
    tree.mkdir(parents=True)
    (new / "nonce").write_text(str(about["nonce"]))
    made = {tree}
    used: set[str] = set()
    for line in files:
        file = json.loads(line)
        digest, size = str(file["digest"]), int(file["size"])
        if not DIGEST.fullmatch(digest):
            raise Trouble("bad_digest")
        path = tree.joinpath(*safe_parts(str(file["path"])))
        _link(blob(digest), path, size, made)
        used.add(digest)
    made_by_itself = GENERATED / str(about["deployment"])
    for listed, target in ((KEPT, PERSISTENT), (MADE, made_by_itself)):
        for kept in json.loads(listed.read_text()) if listed.is_file() else []:
            _lead_out(new, safe_parts(kept), target)
    (new / "blobs").write_text("".join(f"{digest}\n" for digest in sorted(used)))


def _lead_out(new: Path, parts: list[str], target: Path) -> None:
    """Let a path lead out of the release. What the release has there is its seed."""
    path, seed = (new.joinpath(name, *parts) for name in ("tree", "seed"))
    try:
        if path.exists():
            seed.parent.mkdir(parents=True, exist_ok=True)
            path.rename(seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target.joinpath(*parts))
    except (FileExistsError, NotADirectoryError):
        raise Trouble("path_malformed", path="/".join(parts)) from None


def _link(source: Path, path: Path, size: int, made: set[Path]) -> None:
    try:
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        if source.stat().st_size != size:
            raise Trouble("digest_mismatch", digest=source.name)
        path.hardlink_to(source)
    except FileNotFoundError:
        raise Trouble("blob_missing", digest=source.name) from None
    except (FileExistsError, NotADirectoryError):
        raise Trouble("path_malformed", path=path.name[:200]) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise Trouble("path_malformed", path=path.name[:200]) from None
        if error.errno != errno.EMLINK:
            raise
        shutil.copy2(source, path)  # the same empty file 65,000 times
