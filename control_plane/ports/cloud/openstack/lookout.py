"""How servers are looked at: the cloud's word for them, then whether they answer through the door.

A server that does not answer for long is started anew, as a person would.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from control_plane.kit import clock
from control_plane.kit.errors import Unavailable
from control_plane.ports.cloud.openstack.guests import Door, Guests
from control_plane.ports.cloud.openstack.machines import (
    HOST_KEY,
    Machine,
    is_lost,
    refuse_lost,
)
from control_plane.ports.cloud.openstack.servers import Servers
from control_plane.ports.cloud.openstack.waits import Waits
from control_plane.ports.cloud.port import ServerFact, ServerState

PATIENCE_S = 25.0  # of one call, for a machine to come or to go
LOOK_EVERY_S, LOOK_AT_LEAST_EVERY_S = 0.5, 2.0
REBOOT_AFTER = timedelta(minutes=3)  # of silence: an emulated machine boots in one


class Lookout:
    """Looks at the servers of a region, and remembers the doors of those that answered."""

    def __init__(self, servers: Servers, guests: Guests, waits: Waits) -> None:
        self._servers, self._guests, self._waits = servers, guests, waits
        self._lock = threading.Lock()
        self._doors: dict[str, Door] = {}
        self._silent_since: dict[str, datetime] = {}

    def await_running(self, machine: Machine) -> ServerFact:
        """Look at a machine until it serves, or patience ends; return what was seen."""
        fact = ServerFact(machine.server_id, ServerState.ABSENT)
        for seen in self._looks(machine):
            fact = self.fact(seen)
            if fact.state is ServerState.RUNNING:
                break
        return fact

    def await_status(self, machine: Machine, wanted: Iterable[str]) -> None:
        """Look at a machine until the cloud says so. Raises Unavailable if patience ends first."""
        for seen in self._looks(machine):
            if seen.status in wanted:
                return
        raise Unavailable("cloud_changed", why=f"a server is not yet {' or '.join(wanted)}")

    def _looks(self, machine: Machine) -> Iterator[Machine]:
        """Yield a machine again and again, until it is gone or patience ends."""
        with self._waits.watching(machine.server_id) as told:
            yield from self._looks_when_told(machine, told)

    def _looks_when_told(self, machine: Machine, told: threading.Event) -> Iterator[Machine]:
        end, pause, seen = time.monotonic() + PATIENCE_S, LOOK_EVERY_S, machine
        while True:
            if is_lost(seen):
                seen = self._other_than(seen)
            yield seen
            if time.monotonic() > end:
                return
            told.wait(pause)
            told.clear()  # what is told from now on is looked at once more
            pause = min(pause * 1.3, LOOK_AT_LEAST_EVERY_S)
            found = self._servers.get(seen)
            if found is None:
                return
            seen = found

    def _other_than(self, lost: Machine) -> Machine:
        """Return the machine that got the port, where one that was lost did not.

        Raises Refused where there was no other, Unavailable where both are to be made anew.
        """
        found = self._servers.find_all(lost.server_id, lost.tenant_id)
        found = [one for one in found if one.name == lost.name]
        if found and not is_lost(found[0]):
            return found[0]
        if len(found) > 1:
            raise Unavailable("cloud_changed", why="two machines were asked for, and neither runs")
        raise refuse_lost(lost)

    def fact(self, machine: Machine) -> ServerFact:
        """Look once whether a machine serves, and say what was seen."""
        reasons = self._reasons(machine)
        state = ServerState.STOPPED if reasons else ServerState.RUNNING
        image = machine.metadata.get("edubba_image")
        return ServerFact(machine.server_id, state, machine.address, image, reasons)

    def _reasons(self, machine: Machine) -> tuple[str, ...]:
        """Say why a machine does not serve, as far as can be seen; nothing: it does."""
        if machine.status != "ACTIVE":
            return (machine.status.lower(),)
        if machine.metadata.get(HOST_KEY) is None and not self._servers.pin_host_key(machine):
            return ("booting",)
        door = self._servers.find_door(machine)
        if door is None:
            return ("address_missing",)
        try:
            state = self._guests.ask(door, "state")
        except Unavailable:
            self._reboot_where_silent(machine)
            return ("unreachable",)
        with self._lock:
            self._doors[machine.name] = door
            self._silent_since.pop(machine.name, None)
        return () if state.get("up") is True else ("process_down",)

    def _reboot_where_silent(self, machine: Machine) -> None:
        """Start a machine anew that runs, as the cloud says, and has not answered for long."""
        now = clock.now()
        with self._lock:
            self._doors.pop(machine.name, None)
            since = self._silent_since.setdefault(machine.name, now)
            if now - since < REBOOT_AFTER:
                return
            self._silent_since[machine.name] = now
        self._servers.act(machine, "reboot", {"type": "HARD"})

    def door(self, server_id: str) -> Door:
        """Return the way into a running server. Raises Unavailable (`server_unreachable`)."""
        with self._lock:
            known = self._doors.get(server_id)
        if known is not None:
            return known
        machine = self._servers.find(server_id)
        door = self._servers.find_door(machine) if machine is not None else None
        if door is None:
            raise Unavailable("server_unreachable", server=server_id)
        with self._lock:
            self._doors[server_id] = door
        return door

    def doors(self) -> list[Door]:
        """Return the doors of servers that answered."""
        with self._lock:
            return list(self._doors.values())

    def await_gone(self, machine: Machine) -> None:
        """See that a machine is gone. Raises Unavailable while it is not."""
        end = time.monotonic() + PATIENCE_S
        while self._servers.get(machine) is not None:
            if time.monotonic() > end:
                raise Unavailable("cloud_changed", why="a server is being removed")
            threading.Event().wait(LOOK_EVERY_S)

    def forget(self, name: str) -> None:
        """Forget the door of a machine that is another one from now on, or none."""
        with self._lock:
            self._doors.pop(name, None)
            self._silent_since.pop(name, None)
