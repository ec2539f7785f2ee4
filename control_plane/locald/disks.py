"""A server's disk: a sparse file with an ext4 of exactly the size that was agreed."""

import os
import shutil
from pathlib import Path

from control_plane.locald.commands import CommandFailed, attempt, run
from control_plane.locald.faults import Trouble
from control_plane.locald.mounts import is_mounted
from control_plane.locald.state import write_durably
from control_plane.locald.waiting import wait_until

_MIB = 1 << 20
# A sparse file promises more than it takes. Below this the host could not keep what it promised
# for long, and an ext4 that meets a full host answers with I/O errors.
HOST_RESERVE_MIB = 512
_E2FSCK_MENDED = 1  # e2fsck's exit status: errors were found and corrected
_JOURNAL_MIB = 4
_RELEASED_S = 10.0


def _size_file(image: Path) -> Path:
    return image.with_suffix(".mib")


def must_grow(image: Path, size_mib: int) -> bool:
    """Whether the disk was agreed to be larger than it is."""
    return image.exists() and int(_size_file(image).read_text()) < size_mib


def ensure_disk(image: Path, size_mib: int, point: Path) -> None:
    """Make the disk if there is none, mount it; let it grow before, if it shall.

    A mounted one does not grow: that would need CAP_SYS_RESOURCE, which a host may lack.
    Raises Trouble (`host_disk_full`, `disk_damaged`).
    """
    if is_mounted(point):
        return
    if not image.exists():
        _format(image, size_mib)
    _check(image)
    if must_grow(image, size_mib):
        os.truncate(image, size_mib * _MIB)
        attempt(["e2fsck", "-f", "-p", str(image)], timeout_s=300)  # resize2fs insists on it
        run(["resize2fs", str(image)], timeout_s=300)
        write_durably(_size_file(image), str(size_mib))
    point.mkdir(parents=True, exist_ok=True)
    run(["mount", "-o", "loop,nosuid,nodev,noatime", str(image), str(point)])


def _format(image: Path, size_mib: int) -> None:
    image.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    free_mib = shutil.disk_usage(image.parent).free // _MIB
    if free_mib < HOST_RESERVE_MIB:
        raise Trouble("host_disk_full", free_mib=free_mib)
    new = image.with_suffix(".new")
    new.unlink(missing_ok=True)
    with new.open("wb") as file:
        file.truncate(size_mib * _MIB)
    journal = ["-J", f"size={_JOURNAL_MIB}"] if size_mib >= 4 * _JOURNAL_MIB else []
    run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1", *journal, str(new)])
    write_durably(_size_file(image), str(size_mib))
    new.rename(image)


def _check(image: Path) -> None:
    """Replay the journal and mend what mends by itself, before anything writes again."""
    finished = attempt(["e2fsck", "-p", str(image)], timeout_s=300)
    if finished.code > _E2FSCK_MENDED:
        raise Trouble("disk_damaged", why=(finished.out + finished.err).strip()[-500:])


def list_loops(folder: Path) -> dict[str, str]:
    """Return the loop devices whose file lies below `folder`: device → file."""
    found = {}
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            file = backing.read_text().strip()
        except OSError:
            continue  # it was detached while we looked
        if file.startswith(f"{folder}/"):
            found[f"/dev/{backing.parts[3]}"] = file
    return found


def wait_released(folder: Path) -> None:
    """Wait until no file below `folder` is a disk any more. Raises Trouble (`disk_busy`).

    A container that is being made has copies of all mounts for a moment. What is mounted anew
    before these are gone is the same disk as before, of the same size.
    """
    if not wait_until(lambda: not list_loops(folder), _RELEASED_S):
        raise Trouble("disk_busy", disks=", ".join(sorted(list_loops(folder).values())))


def detach_loops(folder: Path) -> None:
    """Detach what a crash between loop and mount left."""
    for device in list_loops(folder):
        try:
            run(["losetup", "-d", device])
        except CommandFailed:
            if device in list_loops(folder):
                raise
