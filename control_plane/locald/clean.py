"""Remove everything of one instance: `python3 -IS <prefix>/control_plane/locald/clean.py`.

Ends the daemon, its containers (wires between them go with their networks), mounts, loop devices,
cgroups and the edge's namespace. What was remembered stays, and `ensure_server` and `ensure_wire`
bring it back, unless `--data` (tenants, wires, servers and their disks) or `--images` is given. Run
again, it finds nothing.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from control_plane.locald import cgroups
from control_plane.locald.containers import Containers
from control_plane.locald.disks import detach_loops
from control_plane.locald.edge_namespace import remove_edge_namespace
from control_plane.locald.execution import kill_leftovers
from control_plane.locald.mounts import unmount
from control_plane.locald.names import Names
from control_plane.locald.processes import kill_strays
from control_plane.locald.protocol import peer
from control_plane.locald.waiting import wait_until

_END_S = 10.0


def _end_daemon(names: Names) -> None:
    """End whoever listens on the instance's socket: the kernel knows its process."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(names.socket))
        except OSError:
            return
        pid, _ = peer(client)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if wait_until(lambda: _has_ended(pid), _END_S):
            return


def _has_ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def clean(names: Names, *, data: bool = False, images: bool = False) -> None:
    """Remove what of an instance is in the kernel, and what else is named.

    Raises Trouble or CommandFailed where something is still in use.
    """
    _end_daemon(names)
    kill_strays(names.instance)
    kill_leftovers(names)
    containers = Containers(names)
    folders = (names.runc_root, names.run_dir / "servers", names.servers_dir)
    for server_id in sorted({path.name for folder in folders for path in folder.glob("*_*")}):
        containers.remove(server_id)
    cgroups.kill_processes(f"/{names.instance}")
    wait_until(lambda: cgroups.remove(f"/{names.instance}"), _END_S)
    unmount(names.run_dir / "servers")
    detach_loops(names.state_dir)
    remove_edge_namespace(names.instance)
    _remove_files(names, data=data, images=images)


def _remove_files(names: Names, *, data: bool, images: bool) -> None:
    gone = [names.runc_root, names.run_dir / "servers", names.exec_dir]
    gone += [names.servers_dir, names.tenants_dir, names.fences_dir] if data else []
    gone += [names.wires_dir] if data else []
    gone += [names.images_dir] if images else []
    for folder in gone:
        if folder.is_dir():
            shutil.rmtree(folder)
    for name in ("locald.sock", "locald-runs.sock", "locald.lock", "edge.rules"):
        (names.run_dir / name).unlink(missing_ok=True)
    for folder in (names.run_dir, names.state_dir):
        with contextlib.suppress(OSError):
            folder.rmdir()  # others keep things there too


def main() -> None:
    """Read the command line and clean."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--instance", required=True)
    parser.add_argument("--state", type=Path, help="/var/lib/<instance> unless given")
    parser.add_argument("--run", type=Path, help="/run/<instance> unless given")
    parser.add_argument(
        "--data", action="store_true", help="also tenants, wires, servers and disks"
    )
    parser.add_argument("--images", action="store_true", help="also prepared images")
    wish = parser.parse_args()
    names = Names.of(wish.instance, wish.state, wish.run)
    clean(names, data=wish.data, images=wish.images)


if __name__ == "__main__":
    main()
