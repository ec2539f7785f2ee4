"""The rules inside the edge's namespace: servers may answer there, and ask for nothing.

They are the second wall; `edge_namespace.py` is the first.
"""

from pathlib import Path

from control_plane.locald.commands import attempt, run
from control_plane.locald.edge_namespace import edge_namespace_path
from control_plane.locald.names import Names
from control_plane.locald.namespaces import run_inside
from control_plane.locald.state import write_durably


def new_rules(table: str) -> str:
    """Return the whole table. A reset instead of silence: a probe needn't wait to know."""
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


def _listing(names: Names) -> str:
    """Return the table as the kernel has it, without counters; empty if there is none."""
    path = edge_namespace_path(names.instance)
    argv = ["nft", "--stateless", "list", "ruleset"]
    return run_inside(path, lambda: attempt(argv).out)


def _remembered(names: Names) -> Path:
    # What nft prints differs from what it is given, and by version. So what it printed right
    # after the rules were set is the measure.
    return names.run_dir / "edge.rules"


def are_rules_whole(names: Names) -> bool:
    """Whether the namespace has the rules that we set, and no other."""
    try:
        wanted = _remembered(names).read_text()
    except FileNotFoundError:
        return False
    return wanted == new_rules(names.nft_table) + _listing(names)


def ensure_rules(names: Names) -> None:
    """Set the rules where they differ, in one transaction."""
    if are_rules_whole(names):
        return
    path = edge_namespace_path(names.instance)
    rules = new_rules(names.nft_table)
    run_inside(path, lambda: run(["nft", "-f", "-"], f"flush ruleset\n{rules}"))
    write_durably(_remembered(names), rules + _listing(names))
