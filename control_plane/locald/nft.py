"""The rules inside the edge's namespace and the servers': what may come in by which interface.

They are the second wall; `edge_namespace.py` and `wires.py` are the first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from control_plane.locald.commands import attempt, run
from control_plane.locald.edge_namespace import edge_namespace_path
from control_plane.locald.names import Names
from control_plane.locald.namespaces import run_inside
from control_plane.locald.state import write_durably
from control_plane.locald.wire_records import Wire


def new_edge_rules(table: str) -> str:
    """Return the whole table of the edge: servers may answer there, and ask for nothing.

    A reset instead of silence: a probe needn't wait to know.
    """
    return f"""\
table inet {table}
delete table inet {table}
table inet {table} {{
  chain input {{
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    iifname "v*" meta l4proto tcp reject with tcp reset
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
  }}
}}
"""


def new_server_rules(table: str, server_id: str, wires: Iterable[Wire]) -> str:
    """Return the whole table of a server with wires: each lets in its one port, at its one end.

    Beyond that, only answers to what the server itself has asked come in. So a connection to a port
    that a wire opened before and opens no more ends, though it is established.
    """
    doors = "\n".join(
        f'    iifname "{wire.name}" ip daddr {wire.address(server_id)}'
        f" tcp dport {wire.wish.port} ct state new,established accept"
        for wire in wires
        if wire.wish.to_server == server_id
    )
    return f"""\
table inet {table}
delete table inet {table}
table inet {table} {{
  chain input {{
    type filter hook input priority filter; policy drop;
    iifname {{ "lo", "eth0" }} accept
    ct direction reply ct state established,related accept
{doors}
    meta l4proto tcp reject with tcp reset
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All rules that a namespace shall have; without any where `text` is empty.

    What nft prints differs from what it is given, and by version. So what it printed right after
    the rules were set is the measure; it is kept in the file `remembered`.
    """

    namespace: Path
    text: str
    remembered: Path

    def is_whole(self) -> bool:
        """Whether the namespace has the rules that we set, and no other."""
        try:
            wanted = self.remembered.read_text()
        except FileNotFoundError:
            return False
        return wanted == self.text + self._listing()

    def ensure(self) -> None:
        """Set the rules where they differ, in one transaction."""
        if self.is_whole():
            return
        rules = f"flush ruleset\n{self.text}"
        run_inside(self.namespace, lambda: run(["nft", "-f", "-"], rules))
        write_durably(self.remembered, self.text + self._listing())

    def _listing(self) -> str:
        """Return the rules as the kernel has them, without counters."""
        argv = ["nft", "--stateless", "list", "ruleset"]
        return run_inside(self.namespace, lambda: attempt(argv).out)


def edge_rules(names: Names) -> Ruleset:
    """Return what the edge's namespace shall have."""
    inside = edge_namespace_path(names.instance)
    return Ruleset(inside, new_edge_rules(names.nft_table), names.run_dir / "edge.rules")
