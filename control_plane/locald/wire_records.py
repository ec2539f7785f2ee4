"""What the daemon must still know of wires after a crash: their ends, and the number of each.

A wire's number gives its interfaces their name and its two ends their addresses. It is kept until
the wire is removed, however often servers, daemon and machine start anew: the address stands in an
application's configuration.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import count
from pathlib import Path

from control_plane.locald.checks import WIRES, WireWish
from control_plane.locald.faults import Refusal, Trouble
from control_plane.locald.names import Names, wire_name
from control_plane.locald.state import sync_folder, write_durably

_NUMBER_MAX = WIRES.num_addresses // 2 - 1


@dataclass(frozen=True, slots=True)
class Wire:
    """A wire that was wished for, and its number."""

    wish: WireWish
    number: int

    @property
    def name(self) -> str:
        """What its interfaces are called, in both namespaces."""
        return wire_name(self.number)

    @property
    def network(self) -> IPv4Network:
        """Its two addresses (RFC 3021: there is no need of two more)."""
        return IPv4Network((WIRES[2 * self.number], 31))

    def address(self, server_id: str) -> IPv4Address:
        """Return the address of one of its ends."""
        return self.network[self.wish.ends.index(server_id)]

    def other(self, server_id: str) -> str:
        """Return the server at the other end."""
        asking, answering = self.wish.ends
        return answering if server_id == asking else asking


class WireRecords:
    """One file for each wire, read once; whoever changes them holds the wires' lock.

    Who only looks holds none: what is remembered here is replaced, never changed.
    """

    def __init__(self, names: Names) -> None:
        self._folder = names.wires_dir
        wires = [_read(path) for path in sorted(self._folder.glob("*.json"))]
        self._wires = {wire.wish.wire_id: wire for wire in wires}

    def find(self, wire_id: str) -> Wire | None:
        """Return a wire, if it was ever made and not removed."""
        return self._wires.get(wire_id)

    def list_all(self) -> list[Wire]:
        """Return all wires."""
        return list(self._wires.values())

    def list_of(self, server_id: str) -> list[Wire]:
        """Return the wires that end in a server."""
        return [wire for wire in self.list_all() if server_id in wire.wish.ends]

    def save(self, wish: WireWish) -> Wire:
        """Remember the wish before anything is made of it, with the number that it has or gets.

        Raises Refusal where it would lead elsewhere than before, Trouble where no number is left.
        """
        known = self.find(wish.wire_id)
        if known and known.wish == wish:
            return known
        if known and known.wish.ends != wish.ends:
            raise Refusal("wire_identity_changed", wire=wish.wire_id)
        wire = Wire(wish, known.number if known else next(self._free_numbers()))
        record = {**asdict(wish), "number": wire.number}
        write_durably(self._path(wish.wire_id), json.dumps(record, indent=1))
        self._wires = {**self._wires, wish.wire_id: wire}
        return wire

    def forget(self, wire_id: str) -> None:
        """Free the number of a wire that was saved."""
        self._path(wire_id).unlink(missing_ok=True)
        sync_folder(self._folder)
        self._wires = {key: wire for key, wire in self._wires.items() if key != wire_id}

    def _path(self, wire_id: str) -> Path:
        return self._folder / f"{wire_id}.json"

    def _free_numbers(self) -> Iterator[int]:
        taken = {wire.number for wire in self.list_all()}
        for number in count(1):
            if number > _NUMBER_MAX:
                raise Trouble("no_wire_left", taken=len(taken))
            if number not in taken:
                yield number


def _read(path: Path) -> Wire:
    record = json.loads(path.read_text())
    number = record.pop("number")
    return Wire(WireWish(**record), number)
