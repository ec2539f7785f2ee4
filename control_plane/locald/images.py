"""Prepared images: roots that servers are laid over, as `make_image.py` recorded them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.locald.faults import Refusal


@dataclass(frozen=True, slots=True)
class Image:
    """An image, and how a server made from it is run."""

    family: str
    digest: str
    made_at: str
    root: Path
    args: tuple[str, ...]
    uid: int
    gid: int
    receiver_uid: int
    receiver_gid: int
    writable: tuple[str, ...]
    executable: tuple[str, ...]  # of what is writable, where programs may lie
    port: int


def _read(path: Path) -> Image:
    record: dict[str, Any] = json.loads(path.read_text())
    process, receiver = record["process"], record["receiver"]
    return Image(
        family=record["family"],
        digest=record["digest"],
        made_at=record["made_at"],
        root=path.with_suffix(""),
        args=tuple(process["args"]),
        uid=process["uid"],
        gid=process["gid"],
        receiver_uid=receiver["uid"],
        receiver_gid=receiver["gid"],
        writable=tuple(record["writable"]),
        executable=tuple(record.get("executable", ())),
        port=record["port"],
    )


def list_images(folder: Path) -> list[Image]:
    """Return all images, the newest of each family first."""
    found = [_read(path) for path in folder.glob("*/*.json") if path.with_suffix("").is_dir()]
    newest_first = sorted(found, key=lambda image: image.made_at, reverse=True)
    return sorted(newest_first, key=lambda image: image.family)


def get_image(folder: Path, digest: str) -> Image:
    """Return an image by its digest. Raises Refusal (`image_missing`)."""
    for path in folder.glob(f"*/{digest.removeprefix('sha256:')}.json"):
        if path.with_suffix("").is_dir():
            return _read(path)
    raise Refusal("image_missing", image=digest)
