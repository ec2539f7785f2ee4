"""Prepared images, as an installation has them: made once by the real play, quick ever after."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

PLAYBOOKS = Path(__file__).parents[1] / "playbooks"
MAKE_IMAGE = PLAYBOOKS / "roles" / "image" / "files" / "make_image.py"
MAKE_DISK = MAKE_IMAGE.with_name("make_disk.py")
MAKE_KERNEL = MAKE_IMAGE.with_name("make_kernel.py")
CACHE = Path(os.environ.get("EDUBBA_TEST_CACHE", "/var/cache/edubba"))  # every installation's
STATE = CACHE / "test-images"
DISKS = CACHE / "test-disks"


def prepared_images(*families: str) -> Path:
    """Return the folder of images, with those of the families in it."""
    wished = families or ("static-site",)
    with ExitStack() as locks:
        for family in sorted(wished):
            locks.enter_context(locked(STATE / f".{family}.lock"))
        if any(record["digest"] is None for record in find_images(STATE, *wished)):
            prepare_images(STATE, *wished)
    return STATE / "images"


def prepared_disk(family: str = "static-site") -> Path:
    """Return the disk of a family's servers in OpenStack, beside the record of it."""
    with locked(DISKS / f".{family}.lock"):
        [found] = find_images(DISKS, family, program=MAKE_DISK)
        if found["digest"] is None:
            prepare_images(DISKS, family, cloud="openstack")
            [found] = find_images(DISKS, family, program=MAKE_DISK)
    return DISKS / "openstack" / family / f"{str(found['digest'])[7:]}.raw"


def prepared_kernel() -> dict[str, str]:
    """Return the record of what virtual machines boot."""
    with locked(DISKS / ".kernel.lock"):
        argv = ["/usr/bin/python3", "-IS", str(MAKE_KERNEL), "--state", str(DISKS)]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
    record: dict[str, str] = json.loads(done.stdout)
    return record


def copy_image(family: str, images: Path) -> None:
    """Give another installation a prepared image, as if it had made it itself."""
    [found] = find_images(prepared_images(family).parent, family)
    folder = images / family
    folder.mkdir(parents=True)
    source = STATE / "images" / family / str(found["digest"]).removeprefix("sha256:")
    subprocess.run(["cp", "-a", str(source), f"{source}.json", str(folder)], check=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time make what all tests share; who waits finds it made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_images(
    state: Path, *families: str, program: Path = MAKE_IMAGE
) -> list[dict[str, str | None]]:
    options = [f"--family={family}" for family in families]
    argv = ["/usr/bin/python3", "-IS", str(program), "find", f"--state={state}", *options]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    found: list[dict[str, str | None]] = json.loads(done.stdout)
    return found


def prepare_images(state: Path, *families: str, cloud: str = "local") -> str:
    """Run the play that prepares images, and return what it said."""
    wish = {
        "image_families": families,
        "image_state_dir": str(state),
        "image_cache_dir": str(CACHE),
        "image_cloud": cloud,
    }
    return play("images.yml", "localhost,", wish)


def play(playbook: str, inventory: str, variables: Mapping[str, object], *options: str) -> str:
    """Run a playbook with this environment's Ansible. What it said is in the error, too."""
    bin_dir = Path(sys.executable).parent  # a symlink's own folder: .venv/bin
    argv = [str(bin_dir / "ansible-playbook"), "-i", inventory, "-e", json.dumps(variables)]
    done = subprocess.run(
        [*argv, *options, playbook],
        cwd=PLAYBOOKS,
        env={**os.environ, "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg")},
        stdin=subprocess.DEVNULL,  # Ansible wants one that blocks
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
