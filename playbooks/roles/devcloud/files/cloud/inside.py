"""Process 1 of the cloud: makes its view of the machine, starts the services, ends with them.

No service is started a second time: one that ends takes the cloud with it, and the end of its log
is the reason.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import host
from plan import Plan, Service, Status

BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000  # <sys/mount.h>
IFF_UP = 1  # <net/if.h>
STEP_S = 0.2
STOP_STAGE_S = 12.0  # MariaDB writes its pages, RabbitMQ its queues
LOG_LINES = 25
GUEST_STARTS_S = 30.0  # from its wire to its first process


class Ended(Exception):
    """A service ended, or did not answer in time."""


class Stopped(Exception):
    """The keeper wants the end."""


def live(plan: Plan, keeper: socket.socket) -> int:
    """Be process 1 from the first mount to the last service's end; return its exit status."""
    cloud = Cloud(plan)
    signals = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
    try:
        host.die_with_parent()
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        enter(plan)
        keeper.sendall(b".")
        if not keeper.recv(1):
            return 1
        join_networks(plan)
        cloud.start()
        Status("ready").write(plan)
        while True:
            cloud.wait()
    except Stopped:
        cloud.stop()
        return 0
    except (Ended, OSError) as error:
        traceback.print_exc(file=sys.stderr)
        Status("failed", str(error)).write(plan)
        cloud.stop()
        return 1


def enter(plan: Plan) -> None:
    """Leave the host's namespaces, and lay out what the services may see."""
    host.enter_cgroups(plan)
    host.unshare(host.NEW_MOUNTS | host.NEW_NETWORK | host.NEW_UTS | host.NEW_IPC | host.NEW_CGROUP)
    socket.sethostname(plan.name)
    host.mount("none", "/", flags=RECURSIVE | PRIVATE)
    host.let_go_of_disks()
    groups = {str(path): open_folder(path / plan.name) for path in host.list_hierarchies()}
    shared = open_folder(plan.run_dir)
    host.mount("proc", "/proc", "proc")
    host.mount("sysfs", "/sys", "sysfs")
    if (
        len(groups) > 1
    ):  # version 1: only its controllers; libvirt can't do with the unified one beside
        host.mount("tmpfs", "/sys/fs/cgroup", "tmpfs", data="mode=755")
    for path, number in groups.items():
        Path(path).mkdir(parents=True, exist_ok=True)
        host.mount(f"/proc/self/fd/{number}", path, flags=BIND)
        os.close(number)
    host.mount("tmpfs", "/run", "tmpfs", data="mode=755")
    host.mount("tmpfs", "/tmp", "tmpfs", data="mode=1777")  # noqa: S108  # the cloud's own
    plan.run_dir.mkdir(parents=True)
    host.mount(f"/proc/self/fd/{shared}", str(plan.run_dir), flags=BIND)
    os.close(shared)
    for target, source in plan.binds.items():
        host.mount(source, target, flags=BIND | RECURSIVE)


def open_folder(path: Path) -> int:
    """Keep a folder within reach over which something else will be mounted."""
    return os.open(path, os.O_PATH | os.O_DIRECTORY)


def join_networks(plan: Plan) -> None:
    """Give the cloud its address, and a wire to it from the bridge of the public network."""
    commands = f"""
        ip link set lo up
        ip address add {plan.address} dev host
        ip link set host up
        ip route add default via {plan.host_address.ip}
        ip link add outside type veth peer name public
        ip address add {plan.gateway} dev outside
        ip link set outside up
        ip link set public up
        ethtool -K outside tx off
        ethtool -K public tx off
        sysctl -q -w net.ipv4.ip_forward=1
    """
    for line in commands.strip().splitlines():
        host.run(*line.split())
    rules = """
        table inet cloud {
            chain input { type filter hook input priority 0
                iifname "outside" ct state established,related accept
                iifname "outside" icmp type echo-request accept
                iifname "outside" drop
            }
            chain forward { type filter hook forward priority 0
                iifname "outside" ct state established,related accept
                iifname "outside" drop
            }
        }"""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


@dataclass
class Cloud:
    """The services that were started, in the order in which they were."""

    plan: Plan
    began: float = field(default_factory=time.monotonic)
    running: dict[int, Service] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    taps: set[str] = field(default_factory=set)
    guests: set[str] = field(default_factory=set)
    look_until: float = 0.0

    def start(self) -> None:
        """Start stage after stage."""
        for stage in self.plan.stages:
            before = time.monotonic()
            waiting = [service for service in stage.services if self.begin(service)]
            while waiting:
                waiting = [service for service in waiting if not self.answers(service)]
                for service in waiting:
                    if time.monotonic() - before > service.within_s:
                        self.fail(service, f"did not answer within {service.within_s:.0f} s")
                if waiting:
                    self.wait()
            self.say(f"{stage.name:<44} {time.monotonic() - before:5.1f} s")
        self.say(f"{'all services answer':<44} {time.monotonic() - self.began:5.1f} s")

    def say(self, text: str) -> None:
        """Add a line to what can be followed."""
        with self.plan.progress_path.open("a") as file:
            file.write(f"{text}\n")

    def begin(self, service: Service) -> bool:
        """Start a program, unless it is a job that was done; return whether it was started."""
        if service.once is not None and service.once.exists():
            return False
        with self.log_path(service).open("ab") as log:
            child = subprocess.Popen(
                service.argv,
                env={**self.plan.environment, **service.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                preexec_fn=unblock,  # noqa: PLW1509  # no thread is here to be in the way
            )
        child.returncode = 0  # it is reaped by `wait`
        self.running[child.pid] = service
        return True

    def answers(self, service: Service) -> bool:
        """Tell whether a service does what it is there for, or a job is done."""
        if service.is_job:
            return service.name in self.finished
        match service.answers.split():
            case ["port", port]:
                return is_open(str(self.plan.address.ip), int(port))
            case ["http", port, path]:
                return is_http(str(self.plan.address.ip), int(port), path)
            case ["file", path]:
                return Path(path).exists()
            case _:
                return True

    def wait(self) -> None:
        """Let a moment pass, or less if something happens; reap whoever ended."""
        got = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}, STEP_S)
        if got is not None and got.si_signo != signal.SIGCHLD:
            raise Stopped
        for pid, ended in reap():
            service = self.running.pop(pid, None)
            if service is None:
                continue  # somebody's orphan
            if not service.is_job or ended:
                self.fail(service, f"ended with status {ended}")
            self.finished.add(service.name)
            if service.once is not None:
                service.once.touch()
        self.mend_taps()

    def mend_taps(self) -> None:
        """See that guests' wires are up, and have the kernel complete checksums on them.

        OVS's userspace datapath doesn't complete them. A container's own end would have to be
        told inside it; no image has to know that.
        """
        present = {path.name for path in Path("/sys/class/net").glob("tap*")}
        for name in present & self.taps:
            raise_link(name)
        for name in present - self.taps:
            command = ["ethtool", "-K", name, "tx", "off"]
            subprocess.run(command, check=False, capture_output=True)  # it may be gone again
            self.look_until = time.monotonic() + GUEST_STARTS_S
        self.taps = present
        if time.monotonic() < self.look_until:
            self.guests |= mend_guests(self.guests)

    def log_path(self, service: Service) -> Path:
        """Where a service's output goes."""
        return self.plan.log_dir / f"{service.name}.log"

    def fail(self, service: Service, what: str) -> None:
        """Raise with the end of the service's log."""
        path = self.log_path(service)
        lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:]
        tail = "\n".join(f"    {line}" for line in lines)
        raise Ended(f"{service.name} {what}. The end of {path}:\n{tail}")

    def stop(self) -> None:
        """End the services, the last stage first; what is left then dies with this process."""
        for stage in reversed(self.plan.stages):
            pids = [pid for pid, service in self.running.items() if service in stage.services]
            for pid in pids:
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_STAGE_S
            while any(pid in self.running for pid in pids) and time.monotonic() < deadline:
                signal.sigtimedwait({signal.SIGCHLD}, STEP_S)
                for pid, _ in reap():
                    self.running.pop(pid, None)
        current = Status.read(self.plan)
        if current.state != "failed":
            Status("stopped").write(self.plan)


def raise_link(name: str) -> None:
    """Set a wire up that is down for longer than a moment.

    libvirt sets a container's wire up while OVS, which nova told of it before it was there, makes
    it promiscuous: both read the flags, then write them, so that one may undo what the other did.
    """
    with suppress(OSError):  # it went: no such file, or EINVAL of one that was just opened
        if not int(Path(f"/sys/class/net/{name}/flags").read_text(), 16) & IFF_UP:
            subprocess.run(["ip", "link", "set", name, "up"], check=False, capture_output=True)


def mend_guests(known: set[str]) -> set[str]:
    """Complete checksums at containers' own ends; return the network namespaces that are new."""
    found = set()
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):  # they come and go
            if comm.read_text() != "libvirt_lxc\n":
                continue
            pid = comm.parent.name
            for guest in (comm.parent / "task" / pid / "children").read_text().split():
                space = str(Path(f"/proc/{guest}/ns/net").readlink())
                lines = Path(f"/proc/{guest}/net/dev").read_text().splitlines()[2:]
                wires = {line.split(":")[0].strip() for line in lines} - {"lo"}
                if space in known or not wires:
                    continue
                for wire in wires:
                    turn_off = ["ethtool", "-K", wire, "tx", "off"]
                    enter = ["nsenter", f"--target={guest}", "--net"]
                    subprocess.run([*enter, *turn_off], check=False, capture_output=True)
                found.add(space)
    return found


def unblock() -> None:
    """Give a program the signals that process 1 waits for."""
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def reap() -> list[tuple[int, int]]:
    """Return who ended, and with which exit status (negative: the signal)."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        found.append((pid, os.waitstatus_to_exitcode(ended)))


def is_open(address: str, port: int) -> bool:
    """Tell whether something listens."""
    with socket.socket() as link:
        link.settimeout(1)
        return link.connect_ex((address, port)) == 0


def is_http(address: str, port: int, path: str) -> bool:
    """Tell whether an API answers, whatever it says to one who has no token."""
    try:
        with socket.create_connection((address, port), timeout=1) as link:
            link.settimeout(30)  # the first answer waits for the program's imports
            link.sendall(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            words = link.makefile("rb").readline().split()
    except OSError:
        return False
    return len(words) > 1 and words[0].startswith(b"HTTP/") and int(words[1]) < 500  # noqa: PLR2004
