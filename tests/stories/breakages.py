"""What befalls a machine, done by other means than the product's own."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from control_plane.locald.names import Names
from tests.stories import traces
from tests.stories.hosted import Site
from tests.stories.installation import Installation
from tests.waiting import wait_until


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def names_of(installation: Installation) -> Names:
    settings = installation.settings
    return Names.of(installation.instance, settings.state_dir, settings.run_dir)


def processes_of(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except FileNotFoundError:  # a hierarchy without this group
        return []


def kill_inside(site: Site) -> None:
    """Kill nginx, and with it all processes of a site's server."""
    servers = [g for g in traces.list_cgroups(site.installation.instance) if site.hosting_id in g]
    groups = [Path(group) for group in servers]
    assert _kill_all(groups)
    wait_until(lambda: not _kill_all(groups))


def delete_container(site: Site) -> None:
    root = names_of(site.installation).runc_root
    run("runc", "--root", str(root), "delete", "--force", site.hosting_id)


def at_edge(site: Site, *argv: str) -> None:
    run("ip", "netns", "exec", names_of(site.installation).edge_namespace, *argv)


def flush_rules(site: Site) -> None:
    at_edge(site, "nft", "flush", "ruleset")


def forward(site: Site) -> None:
    at_edge(site, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def lose_edge_namespace(site: Site) -> None:
    run("ip", "netns", "delete", names_of(site.installation).edge_namespace)


@contextmanager
def linked_to_host(site: Site) -> Iterator[None]:
    """Give a site's server a second interface, whose other end is in the host's own network."""
    root = names_of(site.installation).runc_root
    state = json.loads(run("runc", "--root", str(root), "state", site.hosting_id))
    pid, link = str(state["pid"]), f"x{site.installation.instance}"
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth1", "netns", pid)
    try:
        run("ip", "address", "add", "100.127.255.1/30", "dev", link)
        run("ip", "link", "set", link, "up")
        inside = ("nsenter", "-t", pid, "-n", "ip")
        run(*inside, "address", "add", "100.127.255.2/30", "dev", "eth1")
        run(*inside, "link", "set", "eth1", "up")
        yield
    finally:
        if (Path("/sys/class/net") / link).exists():  # unless the product took it away
            run("ip", "link", "delete", link)


def has_second_link(site: Site) -> bool:
    """Whether the other end of `linked_to_host` is there still."""
    return (Path("/sys/class/net") / f"x{site.installation.instance}").exists()


def lose_power(installation: Installation) -> None:
    """Leave of an installation what a machine finds on its disk after a power loss."""
    for name in list(installation.processes):
        installation.kill(name)
    instance, groups = installation.instance, traces.list_cgroups(installation.instance)
    wait_until(lambda: not _kill_all([Path(group) for group in groups]))
    for line in reversed(traces.list_mounts(instance)):
        run("umount", "--lazy", line.split()[4])
    for line in traces.list_loop_devices(instance):
        run("losetup", "--detach", line.split()[0])
    for handle in traces.list_namespaces(instance):
        Path(handle).unlink()
    for group in sorted(groups, reverse=True):
        Path(group).rmdir()
    shutil.rmtree(installation.settings.run_dir)
    wait_until(lambda: not traces.list_loop_devices(instance))
    assert installation.list_traces() == [str(installation.folder)]


def _kill_all(groups: list[Path]) -> set[int]:
    found = {pid for group in groups for pid in processes_of(group)}
    for pid in found:
        with suppress(ProcessLookupError):  # the first one took it along
            os.kill(pid, signal.SIGKILL)
    return found
