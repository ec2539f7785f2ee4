#!/usr/bin/python3 -IS
"""Make the disks that servers in OpenStack start from: a family's root, the guest's role, ext4.

    make_disk.py find   --state S [--family F]…        what there is, and what is to be made
    make_disk.py base, begin, finish, forget           as make_image.py does them

Each prints one line of JSON. The disk lies at `<state>/openstack/<family>/<hex>.raw`, what is known
of it in `<hex>.json` beside it; `hex` is the digest of the tree (make_image.py), to which
`guest.json` is added that tells a server so. A disk is as small as may be and grows in its server.
"""

import argparse
import hashlib
import json
import math
import os
import shutil
import stat
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import make_image as images  # it lies beside this program

GUEST = "guest"  # the role
FOLDER = "openstack"  # of the state
TOLD = "usr/lib/edubba/guest.json"
_MIB = 1 << 20
_BLOCK = 4096
_STEP_MIB = 64
_JOURNAL_MIB = 16
_ROOM_MIB = 64  # for the file system's own tables, and a first release
_DATED = "1577836800"  # 2020-01-01: when a file system was made is of no meaning
_OPEN_TO_ALL = ("dev", "run", "tmp", "var/tmp", "proc", "sys")


def read_recipe(family: str) -> dict[str, Any]:
    """Return what a family's file says, and that a guest is run by a role of its own."""
    recipe = images.read_recipe(family)
    return {**recipe, "roles": [*recipe["roles"], GUEST]}


def recipe_digest(recipe: dict[str, Any]) -> str:
    """Return the digest of all that goes into a disk, but what Debian's archive holds today."""
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return hashlib.sha256(f"{images.recipe_digest(recipe)} {own}".encode()).hexdigest()


def _find_made(folder: Path, digest: str) -> str | None:
    for path in sorted(folder.glob("*.json")):
        record: dict[str, Any] = json.loads(path.read_text())
        if record["recipe"] == digest and path.with_suffix(".raw").is_file():
            return str(record["digest"])
    return None


def find(disks: Path, family: str) -> dict[str, Any]:
    """Say whether a family's disk is there, and by which roles it is made."""
    recipe = read_recipe(family)
    digest = _find_made(disks / family, recipe_digest(recipe))
    return {"family": family, "roles": recipe["roles"], "digest": digest}


def list_open_to_all(root: Path) -> list[str]:
    """Return what every user could write to, outside of where that is meant."""
    found = []
    for folder, directories, names in os.walk(root):
        here = Path(folder).relative_to(root)
        directories[:] = [name for name in directories if str(here / name) not in _OPEN_TO_ALL]
        for name in (*directories, *names):
            mode = (Path(folder) / name).lstat().st_mode
            if mode & stat.S_IWOTH and not stat.S_ISLNK(mode):
                found.append(str(here / name))
    return sorted(found)


def minimal_mib(root: Path) -> int:
    """Return how large a disk must be that holds a tree."""
    blocks = entries = 0
    for folder, directories, names in os.walk(root):
        for name in (*directories, *names):
            blocks += math.ceil((Path(folder) / name).lstat().st_size / _BLOCK) + 1
            entries += 1
    size = blocks * _BLOCK + entries * 512
    wanted = size * 1.06 / _MIB + _JOURNAL_MIB + _ROOM_MIB
    return math.ceil(wanted / _STEP_MIB) * _STEP_MIB


def _digests(path: Path) -> dict[str, str]:
    """Return SHA-256, and SHA-512, which is what glance keeps."""
    hashers = {name: hashlib.new(name) for name in ("sha256", "sha512")}
    with path.open("rb") as file:
        while chunk := file.read(_MIB):
            for hasher in hashers.values():
                hasher.update(chunk)
    return {name: hasher.hexdigest() for name, hasher in hashers.items()}


def write_disk(root: Path, digest: str, told: dict[str, Any]) -> dict[str, Any]:
    """Turn the root into `<digest>.raw` beside it; return what is to be recorded of the file.

    Raises SystemExit where something in it could be written by everybody.
    """
    if everybodys := list_open_to_all(root):
        raise SystemExit(f"every user could write to {', '.join(everybodys[:10])}")
    (root / TOLD).write_text(json.dumps(told, sort_keys=True) + "\n")
    path, new = root.parent / f"{digest}.raw", root.parent / f".{digest}.raw"
    size_mib = minimal_mib(root)
    identity = str(uuid.UUID(digest[:32]))
    new.unlink(missing_ok=True)
    with new.open("wb") as file:
        file.truncate(size_mib * _MIB)
    options = f"root_owner=0:0,hash_seed={identity},lazy_itable_init=0,nodiscard"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), "-U", identity, "-L", "edubba"]
    argv += ["-m", "1", "-b", str(_BLOCK), "-J", f"size={_JOURNAL_MIB}", "-E", options, str(new)]
    done = subprocess.run(
        argv,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "E2FSPROGS_FAKE_TIME": _DATED},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        new.unlink()
        raise SystemExit(f"mke2fs failed:\n{done.stderr[-2000:]}")
    new.rename(path)
    return {"min_disk_mib": size_mib, **_digests(path)}


def finish(root: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """Clean the root, name it by its digest, and leave a disk and a record of it."""
    folder, packages = root.parent, images._list_packages(root)  # noqa: SLF001  # one program in two files
    (root / images.PREPARED).write_text(f"{recipe['family']}\n")
    images._clean(root)  # noqa: SLF001
    images._drop_set_id_bits(root)  # noqa: SLF001
    digest = images.tree_digest(root)
    told = {
        "digest": f"sha256:{digest}",
        **{key: recipe[key] for key in images.RECORDED},
        "executable": recipe.get("executable", []),
    }
    record = {
        **told,
        "recipe": recipe_digest(recipe),
        "made_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "packages": packages,
        **write_disk(root, digest, told),
    }
    shutil.rmtree(root)
    new = folder / ".record"
    new.write_text(json.dumps(record, indent=1) + "\n")
    new.rename(folder / f"{digest}.json")
    return {"digest": record["digest"], "path": str(folder / f"{digest}.raw")}


def _do(wish: argparse.Namespace) -> Any:
    if wish.verb == "base":
        archive, changed = images.ensure_base(wish.cache)
        return {"changed": changed, "path": str(archive)}
    disks = wish.state / FOLDER
    if wish.verb == "find":
        names = wish.family or sorted(path.stem for path in images.FAMILIES.glob("*.json"))
        return [find(disks, name) for name in names]
    recipe = read_recipe(wish.family[0])
    folder = disks / recipe["family"]
    if wish.verb == "begin":
        folder.mkdir(parents=True, exist_ok=True)
        return images.begin(folder, wish.cache)
    if (
        wish.root is None
        or wish.root.parent != folder
        or not wish.root.name.startswith(images.MAKING)
    ):
        raise SystemExit(f"{wish.root} is no root that was begun in {folder}")
    if wish.verb == "finish":
        return finish(wish.root, recipe)
    shutil.rmtree(wish.root, ignore_errors=True)
    return {}


def main() -> int:
    """Do what was asked for, and say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("verb", choices=["find", "base", "begin", "finish", "forget"])
    parser.add_argument("--family", action="append", default=[])
    parser.add_argument("--root", type=Path)
    parser.add_argument("--state", type=Path, default=Path("/var/lib/edubba"))
    parser.add_argument("--cache", type=Path, default=Path("/var/cache/edubba"))
    wish = parser.parse_args()
    if wish.verb in {"begin", "finish", "forget"} and len(wish.family) != 1:
        parser.error(f"{wish.verb} works on one --family")
    os.umask(0o022)
    print(json.dumps(_do(wish)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
