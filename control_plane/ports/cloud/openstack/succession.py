"""One machine takes another's place: with a new image, or of another size.

A machine's image and size are for good. So a second one is made beside it, with an address of its
own, and comes up while the first goes on serving. Then what serves rests in both, all that was
written in the first is carried over, and the first one's port is plugged into the second, which so
has its addresses and its wires. The first is removed when the second was seen to serve.

Each step is found again in what the cloud tells, and until the second serves, the first can go on.
What was carried counts only while the first is stopped: where it ran again, it is carried anew.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.log import get_log
from control_plane.ports.cloud.openstack.guests import Door, Guests, fence_arguments
from control_plane.ports.cloud.openstack.lookout import LOOK_EVERY_S, PATIENCE_S, Lookout
from control_plane.ports.cloud.openstack.machines import (
    DATA,
    NEXT,
    SERVES,
    STOPPED,
    Machine,
    is_lost,
    refuse_lost,
)
from control_plane.ports.cloud.openstack.servers import Servers
from control_plane.ports.cloud.openstack.wishes import limits_told
from control_plane.ports.cloud.port import Fence, ServerFact, ServerSpec, ServerState

log = get_log("openstack")
_FILLING, _FILLED = "edubba_filling", "edubba_filled"


def is_as_wished(machine: Machine, spec: ServerSpec) -> bool:
    """Whether a machine is what was specified, as far as it can't be changed."""
    known = machine.metadata
    seen = (known.get("edubba_image"), known.get("edubba_limits"))
    return seen == (spec.image, limits_told(spec.limits))


def is_usable(first: Machine, second: Machine, spec: ServerSpec) -> bool:
    """Whether a machine is a successor, of what is wished for, with all of the data or none yet."""
    is_filled = _FILLED in second.metadata and first.status in STOPPED
    is_sound = (is_filled or _FILLING not in second.metadata) and not is_lost(second)
    return second.is_successor and is_as_wished(second, spec) and is_sound


class Successions:
    """Brings successions in a region to their end, each call as far as it comes."""

    def __init__(self, servers: Servers, guests: Guests, lookout: Lookout) -> None:
        self._servers, self._guests, self._lookout = servers, guests, lookout

    def advance(
        self, first: Machine, others: Sequence[Machine], spec: ServerSpec, fence: Fence
    ) -> ServerFact:
        """Go on with a succession; return what was seen of the server."""
        usable = [one for one in others if is_usable(first, one, spec)]
        second = usable[0] if usable else None
        self._remove([one for one in others if one is not second], with_port=second is None)
        lost = next((one for one in others if is_lost(one)), None)
        if second is None and lost is not None:
            raise refuse_lost(lost)
        if second is None:
            second = self._servers.make(spec, self._guests.authority.public_key, NEXT)
        if _FILLED not in second.metadata:
            seen = self._lookout.await_running(second)
            if seen.state is not ServerState.RUNNING:
                reasons = tuple(f"successor_{one}" for one in seen.reasons)
                return replace(seen, address=first.address, reasons=reasons)
            self._carry(first, self._servers.get(second) or second, fence)
        self._switch(first, second, spec)
        return self._lookout.await_running(second)

    def give_up(self, first: Machine, others: Sequence[Machine], fence: Fence) -> None:
        """Let the first machine go on, and remove a successor that nobody wishes for any more."""
        if not others or first.is_successor:
            return
        if first.status == "ACTIVE":  # and may rest; started anew, it does not
            self._guests.ask(self._door(first), "wake", *fence_arguments(fence))
        self._remove(others, with_port=True)

    def finish(self, second: Machine, others: Sequence[Machine]) -> None:
        """Remove the predecessor of a machine that was seen to serve, which can have one again."""
        self._remove(others, with_port=True)
        self._servers.erase(second, SERVES, _FILLING, _FILLED)
        if second.is_successor:
            self._lookout.forget(second.name)
            self._servers.rename(second)

    def _door(self, machine: Machine) -> Door:
        """Return the way into a machine. Raises Unavailable (`server_unreachable`)."""
        door = self._servers.find_door(machine)
        if door is None:
            raise Unavailable("server_unreachable", server=machine.server_id)
        return door

    def _carry(self, first: Machine, second: Machine, fence: Fence) -> None:
        """Bring all that was written in the first machine over to the second; stop the first."""
        if first.status in STOPPED:
            self._servers.act(first, "os-start")
            self._lookout.await_running(first)
            first = self._servers.get(first) or first  # as it is now
        self._lookout.forget(first.name)
        source = self._lookout.door(first.server_id)
        target = self._door(second)
        self._servers.write(second, {_FILLING: "1"})
        try:
            for door in (source, target):
                self._guests.ask(door, "rest", *fence_arguments(fence))
            self._guests.carry(source, target, fence)
        except (Refused, Unavailable):
            self._guests.ask(source, "wake", *fence_arguments(fence))
            raise
        self._servers.act(first, "os-stop")
        self._lookout.await_status(first, STOPPED)
        filled = {_FILLED: "1"}
        self._servers.write(second, filled | {DATA: "1"} if first.holds_data else filled)
        log.info("server_carried", server=first.server_id)

    def _switch(self, first: Machine, second: Machine, spec: ServerSpec) -> None:
        """Give the second machine the first one's port, and let it serve from then on."""
        self._servers.act(second, "os-stop")
        self._lookout.await_status(second, STOPPED)
        port = self._servers.ensure_port(spec)
        if port["device_id"] == first.id:
            self._servers.unplug(first, port)
            self._await_plugged(first, [])
        for one in self._servers.plugged(second):
            if one["id"] != port["id"]:
                self._servers.unplug(second, one)
                self._await_plugged(second, [])
        self._servers.plug(second, port)
        self._await_plugged(second, [port["id"]])
        self._lookout.forget(first.name)  # at its address is another one from now on
        self._servers.write(second, {SERVES: "1"})
        self._servers.act(second, "os-start")

    def _await_plugged(self, machine: Machine, wanted: Sequence[str]) -> None:
        end = time.monotonic() + PATIENCE_S
        while [one["id"] for one in self._servers.plugged(machine)] != list(wanted):
            if time.monotonic() > end:
                raise Unavailable("cloud_changed", why="a server's port is being plugged")
            threading.Event().wait(LOOK_EVERY_S)

    def _remove(self, machines: Sequence[Machine], *, with_port: bool) -> None:
        """Remove machines, and the port that a successor has until it serves."""
        for machine in machines:
            self._servers.remove(machine)
            self._lookout.forget(machine.name)
            self._lookout.await_gone(machine)
        if machines and with_port:
            self._servers.remove_rest(machines[0].server_id + NEXT, machines[0].tenant_id)
