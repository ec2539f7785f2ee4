"""What a machine needs to be an Edubba: pure checks over facts that `machine` found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from control_plane.kit.text import translate

KERNEL_NEEDED = (5, 19)  # the first with overlay mounts over an idmapped layer
DISK_NEEDED_MIB = 3_072  # the product, a base image, and room for a first site
MEMORY_NEEDED_MIB = 900  # what all processes and a first tenant use, doubled
CONTROLLERS_NEEDED = frozenset({"cpu", "memory", "pids"})
PROCESSES = ("edge", "locald", "runner", "web", "worker")
WRITABLE_BY_OTHERS = 0o002


class State(StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warning"  # works, but somebody will wonder
    FAILED = "failed"  # does not work until mended
    UNKNOWN = "unknown"  # could not be looked at


class Group(StrEnum):
    """`machine` is looked at before anything is installed too."""

    MACHINE = "machine"
    INSTALLATION = "installation"


@dataclass(frozen=True, slots=True)
class SocketFact:
    """A Unix socket as it lies there; `mode` is the permission bits."""

    owner: str
    mode: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of a machine; `None` stands for what could not be looked at."""

    is_root: bool
    has_sudo: bool
    system: str  # as in os-release: `debian 12`
    kernel: tuple[int, int]
    has_overlay: bool
    user_namespaces: int
    controllers: frozenset[str]
    missing_commands: tuple[str, ...]
    packet_filter_error: str | None
    has_loop_devices: bool
    free_disk_mib: int
    memory_mib: int
    listeners: Mapping[int, str | None]  # port -> `free`, `ours`, a program's name
    foreign_names: tuple[str, ...]  # example names that this machine does not find on itself
    is_clock_synchronised: bool
    is_installed: bool
    writable_prefix: tuple[str, ...] = ()
    images: frozenset[str] = frozenset()  # those that servers can be made from
    needed_images: Mapping[str, str] = field(default_factory=dict)  # kind on offer -> its image
    processes: Mapping[str, str] | None = None  # name -> supervisord's word for its state
    readiness: str | None = None  # `ready`, or what was answered instead
    sockets: Mapping[str, SocketFact | None] = field(default_factory=dict)
    ca_file: str = ""
    is_ca_trusted: bool | None = None
    regions: tuple[str, ...] | None = ()
    regions_error: str | None = None  # why the file of regions can't be used


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer; `what` and `mend` are message ids with `{facts}`."""

    state: State
    what: str
    mend: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    def in_words(self, locale: str) -> tuple[str, str]:
        """Return what was found and how to mend it, in the language."""
        return translate(self.what, locale, **self.facts), translate(
            self.mend, locale, **self.facts
        )


def check_root(facts: Facts) -> Finding:
    """Root, or a way to become root."""
    if facts.is_root:
        return Finding(State.OK, "Runs as root")
    if facts.has_sudo:
        return Finding(State.OK, "sudo is there")
    return Finding(
        State.FAILED,
        "Neither root nor sudo",
        "Log in as root, or as root: apt-get install sudo, then adduser YOU sudo.",
    )


def check_system(facts: Facts) -> Finding:
    """Debian 12."""
    state = State.OK if facts.system == "debian 12" else State.FAILED
    mend = "Edubba is installed on Debian 12. Elsewhere use the Vagrantfile: vagrant up."
    return Finding(state, "The system is {system}", mend, {"system": facts.system})


def check_kernel(facts: Facts) -> Finding:
    """New enough for overlay mounts over an idmapped layer, and not stripped of namespaces."""
    seen = {"kernel": ".".join(map(str, facts.kernel)), "needed": "5.19"}
    if facts.kernel < KERNEL_NEEDED:
        mend = "Tenants need kernel {needed} or newer: apt-get install linux-image-amd64, restart."
        return Finding(State.FAILED, "The kernel is {kernel}", mend, seen)
    if not facts.has_overlay:
        mend = "As root: modprobe overlay. If that fails, this kernel was built without it."
        return Finding(
            State.FAILED, "The kernel {kernel} does not offer overlay mounts", mend, seen
        )
    if not facts.user_namespaces:
        mend = "As root: sysctl -w user.max_user_namespaces=15000, and keep it in /etc/sysctl.d/."
        return Finding(State.FAILED, "User namespaces are switched off", mend, seen)
    return Finding(State.OK, "The kernel is {kernel}", facts=seen)


def check_cgroups(facts: Facts) -> Finding:
    """The limits of tenants can be enforced."""
    lacking = sorted(CONTROLLERS_NEEDED - facts.controllers)
    if not lacking:
        return Finding(State.OK, "Limits on memory, processors and processes can be set")
    return Finding(
        State.FAILED,
        "These cgroup controllers are missing: {lacking}",
        "Start the kernel with cgroup_enable=memory, or give this container its own cgroups.",
        {"lacking": ", ".join(lacking)},
    )


def check_commands(facts: Facts) -> Finding:
    """What `bindep.txt` asks for is installed."""
    if not facts.missing_commands:
        return Finding(State.OK, "All commands it needs are installed")
    return Finding(
        State.FAILED,
        "These commands are missing: {missing}",
        "make up installs them; by hand, install the packages that bindep.txt names.",
        {"missing": ", ".join(facts.missing_commands)},
    )


def check_packet_filter(facts: Facts) -> Finding:
    """Rules can be loaded into the kernel."""
    if not facts.is_root:
        return Finding(
            State.UNKNOWN, "Only root can look at the packet filter", "sudo edubba doctor"
        )
    if facts.packet_filter_error is None:
        return Finding(State.OK, "The packet filter takes rules")
    return Finding(
        State.FAILED,
        "The packet filter refuses: {error}",
        "As root: modprobe nf_tables. In a container, it needs the capability CAP_NET_ADMIN.",
        {"error": facts.packet_filter_error},
    )


def check_loop_devices(facts: Facts) -> Finding:
    """Disks of servers are files mounted through loop devices."""
    if facts.has_loop_devices:
        return Finding(State.OK, "Loop devices are there")
    return Finding(State.FAILED, "There are no loop devices", "As root: modprobe loop.")


def check_room(facts: Facts) -> Finding:
    """Enough disk and memory for a first site."""
    seen = {"disk": facts.free_disk_mib, "memory": facts.memory_mib}
    what = "{disk} MiB of disk and {memory} MiB of memory are free"
    if facts.free_disk_mib < DISK_NEEDED_MIB:
        needed = {"needed": DISK_NEEDED_MIB}
        return Finding(State.FAILED, what, "Free {needed} MiB below /var.", seen | needed)
    if facts.memory_mib < MEMORY_NEEDED_MIB:
        needed = {"needed": MEMORY_NEEDED_MIB}
        return Finding(
            State.WARNING, what, "Give the machine {needed} MiB of memory.", seen | needed
        )
    return Finding(State.OK, what, facts=seen)


def check_ports(facts: Facts) -> Finding:
    """The edge can listen, or does."""
    taken = {p: who or "?" for p, who in facts.listeners.items() if who not in {"free", "ours"}}
    ports = ", ".join(map(str, facts.listeners))
    if not taken:
        return Finding(State.OK, "The ports {ports} are free or ours", facts={"ports": ports})
    return Finding(
        State.FAILED if facts.is_root else State.UNKNOWN,
        "Ports used by another program: {taken}",
        "Stop that program, or choose other ports: platform_http_port and platform_https_port.",
        {"taken": ", ".join(f"{port} ({who})" for port, who in taken.items())},
    )


def check_names(facts: Facts) -> Finding:
    """Example names lead to this machine."""
    if not facts.foreign_names:
        return Finding(State.OK, "The example names lead to this machine")
    return Finding(
        State.WARNING,
        "These names do not lead to this machine: {names}",
        "make up writes them to /etc/hosts; by hand, add the line: 127.0.0.1 {names}",
        {"names": " ".join(facts.foreign_names)},
    )


def check_clock(facts: Facts) -> Finding:
    """Leases, certificates and the ledger tell the time."""
    if facts.is_clock_synchronised:
        return Finding(State.OK, "The clock is synchronised")
    return Finding(
        State.WARNING,
        "Nothing keeps this machine's clock right",
        "As root: apt-get install systemd-timesyncd. A virtual machine may follow its host.",
    )


def check_installed(facts: Facts) -> Finding:
    """The product is there and nobody but root can change it."""
    if not facts.is_installed:
        return Finding(State.FAILED, "Edubba is not installed here", "make up")
    if facts.writable_prefix:
        return Finding(
            State.FAILED,
            "Others than root can change what root runs: {paths}",
            "As root: chown -R root:root /opt/edubba and chmod -R go-w /opt/edubba.",
            {"paths": ", ".join(facts.writable_prefix)},
        )
    return Finding(State.OK, "The product is installed, and only root can change it")


def check_images(facts: Facts) -> Finding:
    """There is something to make servers of each kind on offer from."""
    if not facts.images:
        return Finding(State.FAILED, "There is no prepared image to make a server from", "make up")
    lacking = {
        kind: image for kind, image in facts.needed_images.items() if image not in facts.images
    }
    if lacking:
        return Finding(
            State.WARNING,
            "These kinds of hosting are offered, but their images are not prepared: {kinds}",
            'make images FAMILIES="{images}"; until then, whoever asks for one is told so.',
            {"kinds": ", ".join(lacking), "images": " ".join(sorted(set(lacking.values())))},
        )
    images = ", ".join(sorted(facts.images))
    return Finding(State.OK, "Prepared images: {images}", facts={"images": images})


def check_processes(facts: Facts) -> Finding:
    """Each process of the product runs."""
    if facts.processes is None and not facts.is_root:
        return Finding(State.UNKNOWN, "Only root can look at the processes", "sudo edubba doctor")
    seen = facts.processes or {}
    ill = [
        f"{name} ({seen.get(name, 'STOPPED')})" for name in PROCESSES if seen.get(name) != "RUNNING"
    ]
    if not ill:
        return Finding(State.OK, "All processes run")
    return Finding(
        State.FAILED,
        "These processes do not run: {ill}",
        "make up starts them. Why one stopped, its log in /var/log/edubba says in its last line.",
        {"ill": ", ".join(ill)},
    )


def check_readiness(facts: Facts) -> Finding:
    """The API answers."""
    if facts.readiness == "ready":
        return Finding(State.OK, "The API is ready")
    return Finding(
        State.FAILED,
        "The API is not ready: {answer}",
        "The last lines of /var/log/edubba/web.log and worker.log say why.",
        {"answer": facts.readiness or "-"},
    )


def check_sockets(facts: Facts) -> Finding:
    """No stranger can talk to the daemons."""
    missing = sorted(name for name, seen in facts.sockets.items() if seen is None)
    loose = sorted(
        n for n, seen in facts.sockets.items() if seen and seen.mode & WRITABLE_BY_OTHERS
    )
    if loose:
        mend = "This is a defect, and dangerous: make down, make up; report it if it stays so."
        return Finding(
            State.FAILED, "Everybody can write to: {names}", mend, {"names": ", ".join(loose)}
        )
    if missing:
        return Finding(
            State.FAILED,
            "These sockets are missing: {names}",
            "make up",
            {"names": ", ".join(missing)},
        )
    return Finding(State.OK, "The daemons hear only whom they should")


def check_trust(facts: Facts) -> Finding:
    """Programs of this machine accept the sites' certificates."""
    if facts.is_ca_trusted is None:
        return Finding(State.UNKNOWN, "The internal CA was not made yet", "make up")
    if facts.is_ca_trusted:
        return Finding(State.OK, "This machine trusts the internal CA")
    return Finding(
        State.WARNING,
        "This machine does not trust the internal CA, so browsers will warn",
        "sudo cp {ca} /usr/local/share/ca-certificates/edubba.crt && sudo update-ca-certificates;"
        " a browser with its own list imports the same file.",
        {"ca": facts.ca_file},
    )


def check_regions(facts: Facts) -> Finding:
    """The worker can read where servers are to be made."""
    if facts.regions is None:
        return Finding(State.UNKNOWN, "Only root can look at the regions", "sudo edubba doctor")
    if facts.regions_error is not None:
        return Finding(
            State.FAILED,
            "The file of regions can not be used: {error}",
            "Correct the file that EDUBBA_REGIONS_FILE names and run make up again.",
            {"error": facts.regions_error},
        )
    return Finding(State.OK, "Regions: {regions}", facts={"regions": ", ".join(facts.regions)})


Check = Callable[[Facts], Finding]
CHECKS: Mapping[Group, Mapping[str, Check]] = {
    Group.MACHINE: {
        "root": check_root,
        "system": check_system,
        "kernel": check_kernel,
        "cgroups": check_cgroups,
        "commands": check_commands,
        "packet_filter": check_packet_filter,
        "loop_devices": check_loop_devices,
        "room": check_room,
        "ports": check_ports,
        "clock": check_clock,
    },
    Group.INSTALLATION: {
        "installed": check_installed,
        "names": check_names,
        "images": check_images,
        "regions": check_regions,
        "processes": check_processes,
        "readiness": check_readiness,
        "sockets": check_sockets,
        "trust": check_trust,
    },
}


def diagnose(facts: Facts, groups: tuple[Group, ...]) -> dict[str, Finding]:
    """Return what each check of the groups found, by its name."""
    return {name: check(facts) for group in groups for name, check in CHECKS[group].items()}
