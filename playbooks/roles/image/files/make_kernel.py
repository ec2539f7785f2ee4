#!/usr/bin/python3 -IS
"""Make what virtual machines in OpenStack boot: Debian's kernel, and a first root of a few drivers.

    make_kernel.py --state S        make it, unless it is there; print where it lies

Prints one line of JSON. The disks of make_disk.py have no boot loader: the cloud starts this kernel
with them (glance's `kernel_id` and `ramdisk_id`). Containers need neither. The first root loads all
drivers that a server needs, finds the disk by its label and starts `/sbin/init` there; so a disk
holds no drivers, and the kernel of all families is one.
"""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SUITE, PACKAGE, SHELL = "bookworm", "linux-image-cloud-amd64", "busybox-static"
FOLDER = "openstack/kernel"  # of the state
LABEL = "edubba"  # of the disks
COMMAND_LINE = "console=tty0 console=ttyS0 ro panic=10"
# Disks, networks and drives as clouds offer them, the configuration drive's file systems, and what
# the guest's own rules take. Those that the kernel has built in are no files.
DRIVERS = (
    *("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "sr_mod", "ata_piix", "nvme"),
    *("virtio_net", "virtio_rng", "virtio_balloon", "button", "evdev"),
    *("ext4", "isofs", "vfat", "nls_cp437", "nls_ascii"),
    *("nf_tables", "nft_reject_inet"),
)
INIT = """#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
for driver in $(busybox cat /drivers); do busybox insmod /lib/$driver; done
tries=0
until disk=$(busybox findfs LABEL=LABEL_OF_DISKS); do
    tries=$((tries + 1))
    if [ $tries -gt 100 ]; then echo "edubba: no disk is called LABEL_OF_DISKS"; exec busybox sh; fi
    busybox usleep 100000
done
busybox mount -t ext4 -o ro "$disk" /root || exec busybox sh
busybox umount /sys
busybox umount /proc
busybox mount --move /dev /root/dev
exec busybox switch_root /root /sbin/init
"""


def recipe_digest() -> str:
    """Return the digest of all that it is made by, but what Debian's archive holds today."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def find_made(folder: Path) -> dict[str, Any] | None:
    """Return the record of a kernel that this program made."""
    for path in sorted(folder.glob("*.json")):
        record: dict[str, Any] = json.loads(path.read_text())
        if record["recipe"] == recipe_digest() and Path(record["initrd"]).is_file():
            return record
    return None


def unpack(root: Path) -> str:
    """Unpack the packages, none of whose programs is run; return the kernel's version."""
    argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=extract"]
    argv += [f"--include={PACKAGE},{SHELL}", SUITE, str(root)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mmdebstrap failed:\n{done.stderr[-2000:]}")
    [version] = (path.name for path in (root / "lib" / "modules").iterdir())
    subprocess.run(["depmod", "--basedir", str(root), version], check=True)
    return version


def in_order(modules: Path) -> list[str]:
    """Return the files of the drivers, each after those that it needs, as paths in `modules`."""
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needed = line.partition(":")
        needs[path] = needed.split()
    by_name = {Path(path).name.partition(".")[0].replace("-", "_"): path for path in needs}
    built_in = (modules / "modules.builtin").read_text()
    found: list[str] = []

    def add(path: str) -> None:
        for one in reversed(needs[path]):  # depmod lists what is needed first last
            add(one)
        if path not in found:
            found.append(path)

    for name in DRIVERS:
        if name in by_name:
            add(by_name[name])
        elif f"/{name}.ko" not in built_in and f"/{name.replace('_', '-')}.ko" not in built_in:
            print(f"the kernel has no driver {name}", file=sys.stderr)
    return found


def write_first_root(root: Path, modules: Path, place: Path) -> None:
    """Write the first root, compressed; the same one from the same packages."""
    with tempfile.TemporaryDirectory() as folder_name:
        first = Path(folder_name)
        for folder in ("bin", "dev", "lib", "proc", "root", "sys"):
            (first / folder).mkdir()
        shutil.copy(root / "bin" / "busybox", first / "bin" / "busybox")
        drivers = in_order(modules)
        for path in drivers:
            shutil.copy(modules / path, first / "lib" / Path(path).name)
        (first / "drivers").write_text("".join(f"{Path(path).name}\n" for path in drivers))
        (first / "init").write_text(INIT.replace("LABEL_OF_DISKS", LABEL))
        (first / "init").chmod(0o755)
        names = sorted(str(path.relative_to(first)) for path in first.rglob("*"))
        for one in (first, *first.rglob("*")):
            os.utime(one, (0, 0))
        archive = subprocess.run(
            ["cpio", "--quiet", "--create", "--format=newc", "--reproducible", "--owner=+0:+0"],
            input="\n".join((".", *names, "")).encode(),
            stdout=subprocess.PIPE,
            cwd=first,
            check=True,
        ).stdout
    place.write_bytes(gzip.compress(archive, mtime=0))


def make(folder: Path) -> dict[str, Any]:
    """Make kernel and first root in a folder, and leave a record beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as making:
        root = Path(making) / "root"
        version = unpack(root)
        kernel, initrd = Path(making) / "kernel", Path(making) / "initrd"
        shutil.copy(root / "boot" / f"vmlinuz-{version}", kernel)
        write_first_root(root, root / "lib" / "modules" / version, initrd)
        sums = {one.name: hashlib.sha512(one.read_bytes()).hexdigest() for one in (kernel, initrd)}
        digest = hashlib.sha256("".join(sums.values()).encode()).hexdigest()
        record = {"digest": f"sha256:{digest}", "version": version, "recipe": recipe_digest()}
        record |= {"command_line": COMMAND_LINE}
        for one in (kernel, initrd):
            place = folder / f"{digest}.{one.name}"
            one.rename(place)
            record |= {one.name: str(place), f"{one.name}_sha512": sums[one.name]}
    new = folder / ".record"
    new.write_text(json.dumps(record, indent=1) + "\n")
    new.rename(folder / f"{digest}.json")
    return record


def main() -> int:
    """Make it unless it is there, and say where it lies."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--state", type=Path, default=Path("/var/lib/edubba"))
    folder = parser.parse_args().state / FOLDER
    os.umask(0o022)
    known = find_made(folder)
    print(json.dumps({**(known or make(folder)), "changed": known is None}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
