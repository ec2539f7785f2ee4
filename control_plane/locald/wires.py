"""Wires: a pair of interfaces from one server's network straight to another's, for one port.

It touches neither the edge's network nor a third server's, and nothing is routed beyond its two
addresses: that is the first wall. The rules in both servers' namespaces (`nft.py`) are the second.
The caller holds the wires' lock, and a wire goes with either of its servers.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from control_plane.locald.bundle import SYSCTLS
from control_plane.locald.checks import WireWish
from control_plane.locald.commands import attempt, run
from control_plane.locald.faults import Refusal, Trouble
from control_plane.locald.names import Names
from control_plane.locald.namespaces import list_wrong_sysctls, run_inside, write_sysctls
from control_plane.locald.nft import Ruleset, new_server_rules
from control_plane.locald.servers import Servers
from control_plane.locald.wire_records import Wire

_PREFIX = 31


@dataclass(frozen=True, slots=True)
class Fact:
    """What was seen of a wire: the address of the end that answers."""

    wire_id: str
    address: str | None
    is_whole: bool


@dataclass(frozen=True, slots=True)
class _End:
    """One end as the kernel has it; `peer` is the other end's index in its own namespace."""

    index: int
    peer: int | None
    is_up: bool
    addresses: list[tuple[str, int]]


class Wires:
    """The wires of one instance."""

    def __init__(self, names: Names, servers: Servers) -> None:
        self._names, self._servers = names, servers
        self._records = servers.wires

    def ensure(self, wish: WireWish) -> Fact:
        """Make the wire or mend it. Raises Refusal or Trouble."""
        insides = self._check(wish)
        wire = self._records.save(wish)
        for server_id, inside in zip(wish.ends, insides, strict=True):
            write_sysctls(inside, SYSCTLS)
            self._rules(server_id, inside).ensure()
        if not self._is_laid(wire, insides):
            self._lay(wire, insides)
        return self.observe(wish)

    def observe(self, wish: WireWish) -> Fact:
        """Say whether all of it is there: both interfaces, both servers' rules and switches."""
        wire = self._records.find(wish.wire_id)
        if wire is None:
            return Fact(wish.wire_id, None, is_whole=False)
        is_whole = wire.wish == wish and self._is_whole(wire)
        return Fact(wish.wire_id, str(wire.address(wire.wish.to_server)), is_whole)

    def remove(self, wire_id: str) -> None:
        """Remove the wire and free its address; nothing happens if it is gone."""
        wire = self._records.find(wire_id)
        if wire is None:
            return
        self._take_down(wire)
        self._records.forget(wire_id)
        for server_id in wire.wish.ends:
            if inside := self._find_namespace(server_id):
                self._rules(server_id, inside).ensure()

    def drop_of(self, server_id: str) -> None:
        """Take down a stopped server's wires; what they are is remembered."""
        for wire in self._records.list_of(server_id):
            self._take_down(wire)

    def remove_of(self, server_id: str) -> None:
        """Remove the wires of a server that is gone."""
        for wire in self._records.list_of(server_id):
            self.remove(wire.wish.wire_id)

    def _check(self, wish: WireWish) -> tuple[Path, Path]:
        """Return the two namespaces of a wire that may be."""
        found = [self._servers.records.find_server(server_id) for server_id in wish.ends]
        is_foreign = any(spec and spec.tenant_id != wish.tenant_id for spec in found)
        if is_foreign or wish.from_server == wish.to_server:
            raise Refusal("wire_refused", wire=wish.wire_id)
        asking, answering = (self._get_namespace(server_id) for server_id in wish.ends)
        return asking, answering

    def _get_namespace(self, server_id: str) -> Path:
        inside = self._find_namespace(server_id)
        if inside is None:
            raise Trouble("server_unreachable", server=server_id)
        return inside

    def _find_namespace(self, server_id: str) -> Path | None:
        """Return the network of a running server that was not destroyed."""
        if self._servers.records.find_server(server_id) is None:
            return None
        found = self._servers.containers.find(server_id)
        if found is None or found.status != "running":
            return None
        return Path(f"/proc/{found.pid}/ns/net")

    def _rules(self, server_id: str, inside: Path) -> Ruleset:
        wires = self._records.list_of(server_id)
        text = new_server_rules(self._names.nft_table, server_id, wires) if wires else ""
        return Ruleset(inside, text, self._names.runtime_dir(server_id) / "wires.rules")

    def _is_whole(self, wire: Wire) -> bool:
        insides = [self._find_namespace(server_id) for server_id in wire.wish.ends]
        asking, answering = insides
        if asking is None or answering is None or not self._is_laid(wire, (asking, answering)):
            return False
        return all(
            self._rules(server_id, inside).is_whole() and not list_wrong_sysctls(inside, SYSCTLS)
            for server_id, inside in zip(wire.wish.ends, (asking, answering), strict=True)
        )

    def _is_laid(self, wire: Wire, insides: tuple[Path, Path]) -> bool:
        asking, answering = (run_inside(inside, lambda: _look(wire.name)) for inside in insides)
        if asking is None or answering is None:
            return False
        is_pair = (asking.peer, answering.peer) == (answering.index, asking.index)
        return is_pair and all(
            end.is_up and end.addresses == [(str(wire.address(server_id)), _PREFIX)]
            for server_id, end in zip(wire.wish.ends, (asking, answering), strict=True)
        )

    def _lay(self, wire: Wire, insides: tuple[Path, Path]) -> None:
        self._take_down(wire)
        asking, answering = insides
        name, pid = wire.name, answering.parts[2]
        pair = f"link add {name} type veth peer name {name} netns {pid}\n"
        run_inside(asking, lambda: _batch(pair + _raise(wire, wire.wish.from_server)))
        run_inside(answering, lambda: _batch(_raise(wire, wire.wish.to_server)))

    def _take_down(self, wire: Wire) -> None:
        """Delete both interfaces; where one is deleted, the other goes with it."""
        for server_id in wire.wish.ends:
            if inside := self._find_namespace(server_id):
                run_inside(inside, lambda: attempt(["ip", "link", "delete", wire.name]))


def _raise(wire: Wire, server_id: str) -> str:
    name = wire.name
    return f"addr add {wire.address(server_id)}/{_PREFIX} dev {name}\nlink set {name} up\n"


def _batch(commands: str) -> None:
    run(["ip", "-batch", "-"], commands)


def _look(name: str) -> _End | None:
    """Return an interface of the namespace of this thread."""
    found = attempt(["ip", "-j", "address", "show", "dev", name])
    if found.code:
        return None
    link = json.loads(found.out)[0]
    addresses = [(one["local"], int(one["prefixlen"])) for one in link["addr_info"]]
    return _End(link["ifindex"], link.get("link_index"), "LOWER_UP" in link["flags"], addresses)
