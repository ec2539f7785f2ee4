#!/usr/bin/python3 -IS
r"""Make the image that a family's servers start from: a Debian root, our files, its digest.

    make_image.py --family static-site --state /var/lib/edubba [--cache /var/cache/edubba]

Prints one line of JSON: `changed`, `digest`, `path`. Does nothing if this recipe was made already.
The image lies at `<state>/images/<family>/<hex>/`, what is known of it in `<hex>.json` beside it.
The digest is SHA-256 over one line for each entry of the tree, sorted by path as bytes:
`<type> <mode in octal> <uid> <gid> <SHA-256 of the content, or the link's target> <path>\n`.
Times are left out: two roots that differ in them alone are the same image.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RECIPE_VERSION = 1  # raise it when this program makes another tree of the same recipe
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# What a root keeps of its making and no server needs; it would also change the digest each time.
LEFTOVERS = (
    "dev/*",
    "etc/.pwd.lock",
    "etc/hostname",
    "etc/machine-id",
    "etc/resolv.conf",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/ssl/certs/java",
    "run/*",
    "tmp/*",
    "var/cache/*/*",
    "var/lib/apt/*/*",
    "var/lib/dpkg/*-old",
    "var/lib/systemd/*",
    "var/log/*",
    "var/tmp/*",
)


def _read_recipe(family: str) -> dict[str, Any]:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", family):
        raise SystemExit(f"{family!r} is no name of a family")
    path = HERE / family / "recipe.json"
    if not path.is_file():
        raise SystemExit(f"there is no recipe {path}")
    recipe: dict[str, Any] = json.loads(path.read_text())
    return recipe


def recipe_digest(recipe: dict[str, Any]) -> str:
    """Return the digest of all that goes into an image, but what Debian's archive holds today."""
    hasher = hashlib.sha256(json.dumps([RECIPE_VERSION, recipe], sort_keys=True).encode())
    for file in recipe["files"]:
        hasher.update(hashlib.sha256((HERE / file["from"]).read_bytes()).digest())
    return hasher.hexdigest()


def _find_made(folder: Path, digest: str) -> dict[str, Any] | None:
    for path in sorted(folder.glob("*.json")):
        record: dict[str, Any] = json.loads(path.read_text())
        if record["recipe"] == digest and path.with_suffix("").is_dir():
            return record
    return None


def _ensure_archive(recipe: dict[str, Any], cache: Path) -> Path:
    """Return the Debian root as an archive, made once for a list of packages."""
    wish = json.dumps([recipe["suite"], sorted(recipe["packages"])]).encode()
    archive = cache / f"{recipe['family']}-{hashlib.sha256(wish).hexdigest()[:16]}.tar"
    if archive.is_file():
        return archive
    new = archive.with_suffix(f".{os.getpid()}.tar")
    include = ",".join(recipe["packages"])
    argv = ["mmdebstrap", "--variant=minbase", f"--include={include}"]
    try:
        _run([*argv, "--dpkgopt=path-exclude=/usr/share/man/*", recipe["suite"], str(new)])
        new.rename(archive)
    finally:
        new.unlink(missing_ok=True)
    return archive


def _run(argv: list[str]) -> None:
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    finished = subprocess.run(
        argv, env={"PATH": PATH, "LC_ALL": "C.UTF-8", **kept}, capture_output=True, check=False
    )
    if finished.returncode:
        raise SystemExit(f"{argv[0]} failed:\n{finished.stderr.decode(errors='replace')[-4000:]}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _prepare(root: Path, recipe: dict[str, Any]) -> None:
    for pattern in LEFTOVERS:
        for path in sorted(root.glob(pattern)):
            _remove(path)
    for user in recipe["users"]:
        name, number = user["name"], user["id"]
        _append(
            root / "etc/passwd", f"{name}:x:{number}:{number}::{user['home']}:/usr/sbin/nologin"
        )
        _append(root / "etc/group", f"{name}:x:{number}:")
    for directory in recipe["directories"]:
        path = root / directory["path"].lstrip("/")
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, directory["owner"], directory["owner"])
    for file in recipe["files"]:
        path = root / file["to"].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / file["from"], path)
        path.chmod(int(file["mode"], 8))


def _append(path: Path, line: str) -> None:
    path.write_text(path.read_text() + line + "\n")


def _drop_set_id_bits(root: Path) -> None:
    """Nothing in a server may become another user by being executed."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                path.chmod(stat.S_IMODE(mode) & 0o0777)


def _describe(path: Path, name: bytes) -> bytes:
    facts = path.lstat()
    kind, content = "other", "-"
    if stat.S_ISREG(facts.st_mode):
        kind, content = "file", hashlib.sha256(path.read_bytes()).hexdigest()
    elif stat.S_ISDIR(facts.st_mode):
        kind = "directory"
    elif stat.S_ISLNK(facts.st_mode):
        kind, content = "link", str(path.readlink())
    mode = stat.S_IMODE(facts.st_mode)
    return f"{kind} {mode:04o} {facts.st_uid} {facts.st_gid} {content} ".encode() + name + b"\n"


def tree_digest(root: Path) -> str:
    """Return the digest of a tree; see the module's docstring for what of it counts."""
    names = []
    for folder, directories, files in os.walk(os.fsencode(root)):
        names += [os.path.join(folder, name) for name in (*directories, *files)]  # noqa: PTH118
    hasher = hashlib.sha256()
    for name in sorted(names):
        hasher.update(_describe(Path(os.fsdecode(name)), name[len(os.fsencode(root)) :]))
    return hasher.hexdigest()


def make(recipe: dict[str, Any], folder: Path, cache: Path) -> dict[str, Any]:
    """Make the image and its record. Raises SystemExit with the reason when a tool fails."""
    archive = _ensure_archive(recipe, cache)
    making = folder / ".making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o755)
    _run(["tar", "--extract", "--numeric-owner", "-f", str(archive), "-C", str(making)])
    _prepare(making, recipe)
    _drop_set_id_bits(making)
    digest = tree_digest(making)
    target = folder / digest
    if target.is_dir():
        shutil.rmtree(making)
    else:
        making.rename(target)
    known = ("family", "process", "receiver", "writable", "port")
    record = {
        "digest": f"sha256:{digest}",
        "recipe": recipe_digest(recipe),
        "made_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        **{key: recipe[key] for key in known},
    }
    new = folder / ".record"
    new.write_text(json.dumps(record, indent=1) + "\n")
    new.rename(folder / f"{digest}.json")
    return record


def main() -> int:
    """Make what was asked for, unless it is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--family", required=True)
    parser.add_argument("--state", type=Path, required=True, help="the installation's state")
    parser.add_argument("--cache", type=Path, default=Path("/var/cache/edubba"))
    wish = parser.parse_args()
    os.umask(0o022)
    recipe = _read_recipe(wish.family)
    folder: Path = wish.state / "images" / wish.family
    folder.mkdir(parents=True, exist_ok=True)
    wish.cache.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = _find_made(folder, recipe_digest(recipe))
        changed = record is None
        record = record or make(recipe, folder, wish.cache)
    path = folder / record["digest"].removeprefix("sha256:")
    print(json.dumps({"changed": changed, "digest": record["digest"], "path": str(path)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
