"""Runs: for a while, a client of less trust may command one server, and nothing else.

A ticket names a run, a server, the fence under which it was opened and when it ends. It is kept in
memory alone: it ends with the daemon, as do the commands that were given with it.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from control_plane.locald.faults import Refusal, Trouble
from control_plane.locald.state import Fences
from control_plane.locald.waiting import wait_until

TOKEN_BYTES = 32
_CLOSE_S = 10.0  # a command sees within a tenth of a second that it is not wanted any more


@dataclass(slots=True)
class Ticket:
    """What opens one server for one run."""

    run_id: str
    server_id: str
    life_id: str
    counter: int
    ends_at: float  # of the monotonic clock
    token: str = field(default_factory=lambda: secrets.token_hex(TOKEN_BYTES), repr=False)
    commands: int = 0  # under way
    is_open: bool = True


class Runs:
    """The tickets of one daemon."""

    def __init__(self, fences: Fences) -> None:
        self._fences = fences
        self._lock = threading.Lock()
        self._tickets: dict[tuple[str, str], Ticket] = {}

    def open(self, ticket: Ticket) -> str:
        """Return the token of a run on a server; the same one again, until it is closed."""
        with self._lock:
            self._forget_ended()
            known = self._tickets.setdefault((ticket.run_id, ticket.server_id), ticket)
            if known.life_id != ticket.life_id:
                raise Refusal("run_of_another_life", run=ticket.run_id)
            known.counter, known.ends_at = ticket.counter, ticket.ends_at
            return known.token

    def close(self, run_id: str) -> list[str]:
        """Let nothing more be done for a run; when no command of it is left, return its servers.

        Raises Trouble (`run_still_ending`) where one outlives the wait.
        """
        with self._lock:
            found = [ticket for ticket in self._tickets.values() if ticket.run_id == run_id]
            for ticket in found:
                ticket.is_open = False
        if not wait_until(lambda: not any(ticket.commands for ticket in found), _CLOSE_S):
            raise Trouble("run_still_ending", run=run_id)
        with self._lock:
            self._forget_ended()
        return [ticket.server_id for ticket in found]

    def is_commanded(self, server_id: str) -> bool:
        """Whether some run may command a server now."""
        with self._lock:
            found = [one for one in self._tickets.values() if one.server_id == server_id]
            return any(self._is_valid(ticket) for ticket in found)

    def _forget_ended(self) -> None:
        self._tickets = {
            key: ticket
            for key, ticket in self._tickets.items()
            if ticket.commands or self._is_valid(ticket)
        }

    def _is_valid(self, ticket: Ticket) -> bool:
        return ticket.is_open and time.monotonic() < ticket.ends_at

    @contextmanager
    def command(self, run_id: str, server_id: str, token: str) -> Iterator[Ticket]:
        """Hold a ticket while a command is under way.

        Raises Refusal: `run_not_open` for a ticket that is unknown, closed, over or another's,
        `stale_fence` where its life was claimed again since.
        """
        with self._lock:
            ticket = self._tickets.get((run_id, server_id))
            if ticket is None or not secrets.compare_digest(ticket.token.encode(), token.encode()):
                raise Refusal("run_not_open", run=run_id)
            if not self._is_valid(ticket):
                raise Refusal("run_not_open", run=run_id)
            self._fences.look(ticket.life_id, ticket.counter)
            ticket.commands += 1
        try:
            yield ticket
        finally:
            with self._lock:
                ticket.commands -= 1

    def is_wanted(self, ticket: Ticket) -> bool:
        """Whether a command that is under way may go on."""
        return self._is_valid(ticket)
