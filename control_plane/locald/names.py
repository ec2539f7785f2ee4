"""What everything of one installation is called in the kernel and on disk.

All names derive from the instance's name, so that two installations, or a test beside one, never
touch each other's objects.
"""

import re
from dataclasses import dataclass
from pathlib import Path

INSTANCE = re.compile(r"[a-z][a-z0-9]{0,7}")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _base36(number: int) -> str:
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = _DIGITS[rest] + text
    return text or "0"


def link_name(serial: int) -> str:
    """Return the name of a server's link inside the edge's namespace, at most 15 characters.

    The suffix counts interfaces as the server sees them: 1 is its loopback, 2 its link.
    """
    return f"v{_base36(serial)}-2"


def wire_name(number: int) -> str:
    """Return the name of both ends of a wire, each inside its server's namespace."""
    return f"w{_base36(number)}"


@dataclass(frozen=True, slots=True)
class Names:
    """Where one instance keeps what."""

    instance: str
    state_dir: Path
    run_dir: Path

    def __post_init__(self) -> None:
        """Refuse what would not be safe inside a path or an interface's name."""
        if not INSTANCE.fullmatch(self.instance):
            raise ValueError(f"an instance is called {INSTANCE.pattern}, not {self.instance!r}")

    @classmethod
    def of(
        cls, instance: str, state_dir: Path | None = None, run_dir: Path | None = None
    ) -> "Names":
        """Return the names of an instance; the directories are the usual ones unless given."""
        return cls(
            instance,
            state_dir or Path("/var/lib") / instance,
            run_dir or Path("/run") / instance,
        )

    @property
    def edge_namespace(self) -> str:
        """The network namespace in which all links of servers end."""
        return f"{self.instance}-edge"

    @property
    def nft_table(self) -> str:
        """The table of rules inside the edge's namespace, and inside servers' that have wires."""
        return self.instance

    @property
    def runc_root(self) -> Path:
        """Where runc keeps what it knows."""
        return self.run_dir / "runc"

    @property
    def socket(self) -> Path:
        """Where the daemon listens."""
        return self.run_dir / "locald.sock"

    @property
    def runs_socket(self) -> Path:
        """Where the daemon listens to the runner, who may only command for an open run."""
        return self.run_dir / "locald-runs.sock"

    @property
    def edge_socket(self) -> Path:
        """Where the edge listens to the worker."""
        return self.run_dir / "edge.sock"

    @property
    def images_dir(self) -> Path:
        """Prepared images, made by root."""
        return self.state_dir / "images"

    @property
    def servers_dir(self) -> Path:
        """What must be remembered of servers: their specification and their disk."""
        return self.state_dir / "servers"

    @property
    def tenants_dir(self) -> Path:
        """What must be remembered of tenants."""
        return self.state_dir / "tenants"

    @property
    def wires_dir(self) -> Path:
        """What must be remembered of wires between servers: their ends and their number."""
        return self.state_dir / "wires"

    @property
    def fences_dir(self) -> Path:
        """The highest counter seen of each life."""
        return self.state_dir / "fences"

    @property
    def exec_dir(self) -> Path:
        """One file per process that was started inside a server and has not ended."""
        return self.run_dir / "exec"

    def server_dir(self, server_id: str) -> Path:
        """Return where a server's lasting things lie."""
        return self.servers_dir / server_id

    def runtime_dir(self, server_id: str) -> Path:
        """Return where a server's mount points and bundle lie; gone after a reboot."""
        return self.run_dir / "servers" / server_id

    def cgroup(self, server_id: str) -> str:
        """Return a server's cgroup, as a path below each hierarchy's root."""
        return f"/{self.instance}/{server_id}"
