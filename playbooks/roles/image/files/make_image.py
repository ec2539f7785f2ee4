#!/usr/bin/python3 -IS
r"""Make the images that servers start from: a Debian root, what roles make of it, its digest.

    make_image.py find   --state S [--family F]…        what there is, and what is to be made
    make_image.py base   --cache C                      the Debian root that all begin with
    make_image.py begin  --state S --cache C --family F   a fresh root for the roles to work on
    make_image.py finish --state S --family F --root R    clean it, name it by its digest
    make_image.py forget --state S --family F --root R    remove a root that came to nothing

Each prints one line of JSON. A family is a file in `families/`; how it becomes an image is for the
roles that it names, and `playbooks/images.yml` lets them work between `begin` and `finish`.
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
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FAMILIES = Path(__file__).resolve().parent / "families"
ROLES = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
BASE_PACKAGES = ("python3", "python3-apt")  # what Ansible works with
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
NO_START = "#!/bin/sh\nexit 101\n"  # Debian's packages start nothing while a root is made
PREPARED = "usr/lib/edubba/prepared"
MAKING, ABANDONED_S = ".making-", 6 * 3600
POLICY = "usr/sbin/policy-rc.d"
RECORDED = ("family", "process", "receiver", "writable", "port")  # what locald reads
# What a root keeps of its making and no server needs; it would also change the digest each time.
LEFTOVERS = (
    "dev/*",
    "etc/.pwd.lock",
    "etc/hostname",
    "etc/machine-id",
    "etc/resolv.conf",
    "etc/*-",
    "etc/ssl/certs/java",
    "root/.ansible",
    "run/*",
    "tmp/*",
    POLICY,
    "var/cache/*/*",
    "var/lib/apt/extended_states",
    "var/lib/apt/*/*",
    "var/lib/dpkg/*-old",
    "var/lib/systemd/*",
    "var/log/*",
    "var/tmp/*",
)


def read_recipe(family: str) -> dict[str, Any]:
    """Return what a family's file says. Raises SystemExit where there is none."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", family):
        raise SystemExit(f"{family!r} is no name of a family")
    path = FAMILIES / f"{family}.json"
    if not path.is_file():
        raise SystemExit(f"there is no family {path}")
    recipe: dict[str, Any] = json.loads(path.read_text())
    return recipe


def recipe_digest(recipe: dict[str, Any]) -> str:
    """Return the digest of all that goes into an image, but what Debian's archive holds today."""
    hasher = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    hasher.update(Path(__file__).read_bytes())
    for role in recipe["roles"]:
        for path in sorted((ROLES / role).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                hasher.update(f"{path.relative_to(ROLES)} {content}\n".encode())
    return hasher.hexdigest()


def _find_made(folder: Path, digest: str) -> dict[str, Any] | None:
    for path in sorted(folder.glob("*.json")):
        record: dict[str, Any] = json.loads(path.read_text())
        if record["recipe"] == digest and path.with_suffix("").is_dir():
            return record
    return None


def find(images: Path, family: str) -> dict[str, Any]:
    """Say whether a family's image is there, and by which roles it is made."""
    recipe = read_recipe(family)
    record = _find_made(images / family, recipe_digest(recipe))
    return {
        "family": family,
        "roles": recipe["roles"],
        "digest": record["digest"] if record else None,
    }


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure_base(cache: Path) -> tuple[Path, bool]:
    """Return the Debian root as an archive, and whether it was made now."""
    wish = hashlib.sha256(json.dumps([SUITE, *BASE_PACKAGES]).encode()).hexdigest()
    archive = cache / f"base-{wish[:16]}.tar"
    with _locked(cache / ".base.lock"):
        if archive.is_file():
            return archive, False
        new = archive.with_suffix(".new.tar")
        include = ",".join(BASE_PACKAGES)
        argv = ["mmdebstrap", "--variant=minbase", f"--include={include}"]
        argv += ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=force-unsafe-io"]
        try:
            _run([*argv, SUITE, str(new)])
            new.rename(archive)
        finally:
            new.unlink(missing_ok=True)
    return archive, True


def _run(argv: list[str]) -> str:
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    finished = subprocess.run(
        argv, env={"PATH": PATH, "LC_ALL": "C.UTF-8", **kept}, capture_output=True, check=False
    )
    if finished.returncode:
        raise SystemExit(f"{argv[0]} failed:\n{finished.stderr.decode(errors='replace')[-4000:]}")
    return finished.stdout.decode()


def begin(folder: Path, cache: Path) -> dict[str, Any]:
    """Lay out a fresh root, in which packages can be installed and start nothing."""
    archive, _ = ensure_base(cache)
    _forget_abandoned(folder)
    root = Path(tempfile.mkdtemp(prefix=MAKING, dir=folder))
    root.chmod(0o755)
    _run(["tar", "--extract", "--numeric-owner", "-f", str(archive), "-C", str(root)])
    (root / POLICY).write_text(NO_START)
    (root / POLICY).chmod(0o755)
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    shutil.copyfile("/etc/resolv.conf", resolver)
    os.utime(root / "var/lib/apt/lists", (0, 0))  # the base has none: they are to be fetched
    return {"root": str(root)}


def _forget_abandoned(folder: Path) -> None:
    """Remove roots of makers that died. Another one may be at work on its own right now."""
    for root in folder.glob(f"{MAKING}*"):
        if time.time() - root.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(root)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _clean(root: Path) -> None:
    for pattern in LEFTOVERS:
        for path in sorted(root.glob(pattern)):
            _remove(path)
    (root / "run").chmod(0o1777)  # process 1 is not root, and runc keeps the mode that is here
    shadow = root / "etc/shadow"  # it tells the day on which each account was made
    lines = [line.split(":") for line in shadow.read_text().splitlines()]
    shadow.write_text("".join(":".join([*line[:2], "", *line[3:]]) + "\n" for line in lines))


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


def _list_packages(root: Path) -> dict[str, str]:
    """Return the installed packages and their versions: what two images' records differ in."""
    argv = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\n"]
    return dict(line.split(" ") for line in _run(argv).splitlines())


def finish(root: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """Name the root by its digest, and record how a server made from it is run."""
    folder, packages = root.parent, _list_packages(root)
    (root / PREPARED).write_text(f"{recipe['family']}\n")  # plays don't install again what is there
    _clean(root)
    _drop_set_id_bits(root)
    digest = tree_digest(root)
    with _locked(folder / ".lock"):
        if (folder / digest).is_dir():
            shutil.rmtree(root)
        else:
            root.rename(folder / digest)
        record = _write_record(folder, digest, recipe, packages)
    return {"digest": record["digest"], "path": str(folder / digest)}


def _write_record(
    folder: Path, digest: str, recipe: dict[str, Any], packages: dict[str, str]
) -> dict[str, Any]:
    record = {
        "digest": f"sha256:{digest}",
        "recipe": recipe_digest(recipe),
        "made_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        **{key: recipe[key] for key in RECORDED},
        "executable": recipe.get("executable", []),
        "packages": packages,
    }
    new = folder / ".record"
    new.write_text(json.dumps(record, indent=1) + "\n")
    new.rename(folder / f"{digest}.json")
    return record


def _do(wish: argparse.Namespace) -> Any:
    if wish.verb == "base":
        archive, changed = ensure_base(wish.cache)
        return {"changed": changed, "path": str(archive)}
    images = wish.state / "images"
    if wish.verb == "find":
        names = wish.family or sorted(path.stem for path in FAMILIES.glob("*.json"))
        return [find(images, name) for name in names]
    recipe = read_recipe(wish.family[0])
    folder = images / recipe["family"]
    if wish.verb == "begin":
        folder.mkdir(parents=True, exist_ok=True)
        return begin(folder, wish.cache)
    if wish.root is None or wish.root.parent != folder or not wish.root.name.startswith(MAKING):
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
