"""Commands inside a server of the `local` cloud, through the root daemon, with a run's ticket."""

import os
import selectors
import socket
from contextlib import ExitStack
from io import FileIO
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure

from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.unix import Daemon, new_request
from control_plane.ports.automation.plugins.connections import OneCommandAtATime

DOCUMENTATION = """
name: edubba_local
short_description: Commands in a server of this machine
description:
  - Asks the root daemon to run a command inside one server for one run.
  - What the server answers is bounded; too long an answer fails the task.
options:
  server:
    description: The server.
    type: str
    vars: [{name: inventory_hostname}]
  run:
    description: The run that the ticket is for.
    type: str
    required: true
    vars: [{name: edubba_local_run}]
  ticket:
    description: What opens the server to this run.
    type: str
    required: true
    vars: [{name: edubba_local_ticket}]
  socket:
    description: Where the daemon listens to runners.
    type: path
    required: true
    vars: [{name: edubba_local_socket}]
"""
_CHUNK = 1 << 16
_COMMAND_S = 3600  # the run's own time is shorter
_ANSWER_S = _COMMAND_S + 60


class Connection(OneCommandAtATime):
    """Ansible's connection plugin `edubba_local`."""

    transport = "edubba_local"

    def ask(self, command: str, text: bytes, most: int) -> tuple[int, bytes, bytes]:
        """Run a command through the daemon; see the base."""
        wish = {
            "run_id": self.get_option("run"),
            "server_id": self.get_option("server"),
            "ticket": self.get_option("ticket"),
            "command": command,
            "timeout_s": _COMMAND_S,
        }
        daemon = Daemon(Path(self.get_option("socket")), silent="locald_not_answering")
        try:
            with daemon.connection(_ANSWER_S) as connection:
                out = _exchange(connection, new_request("exec_run", wish), text, most)
                result = daemon.result(connection)
        except (Refused, Unavailable) as error:
            raise AnsibleConnectionFailure(str(error)) from error
        return int(result["code"]), out, str(result["err"]).encode()


def _exchange(connection: socket.socket, request: bytes, text: bytes, most: int) -> bytes:
    """Give a command its input on one pipe, and return what it wrote into another."""
    with ExitStack() as ours:
        in_read, in_write = os.pipe()
        out_read, out_write = os.pipe()
        stdin = ours.enter_context(FileIO(in_write, "wb"))
        stdout = ours.enter_context(FileIO(out_read, "rb"))
        try:
            socket.send_fds(connection, [request], [in_read, out_write])
        finally:
            os.close(in_read)
            os.close(out_write)
        for pipe in (stdin, stdout):
            os.set_blocking(pipe.fileno(), False)  # the library's own signature
        return _pump(connection, stdin, memoryview(text), stdout, most)


def _pump(
    connection: socket.socket, stdin: FileIO, left: memoryview, stdout: FileIO, most: int
) -> bytes:
    """Write all and read all, as they come; stop reading beyond the bound.

    The daemon's answer ends it too: a service that was started may hold its output open for ever.
    """
    out, is_open = bytearray(), True
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(stdout, selectors.EVENT_READ)
        selector.register(stdin, selectors.EVENT_WRITE)
        while is_open and len(out) <= most:
            ready = {key.fileobj for key, _ in selector.select()}
            if stdin in ready:
                left = _write(stdin, left)
                if not left:
                    selector.unregister(stdin)
                    stdin.close()
            if stdout in ready:
                chunk = stdout.read(_CHUNK)
                out += chunk or b""
                is_open = bool(chunk)
            elif connection in ready:
                is_open = False
    return bytes(out)


def _write(pipe: FileIO, left: memoryview) -> memoryview:
    try:
        return left[pipe.write(left[:_CHUNK]) or 0 :]
    except BrokenPipeError:
        return left[:0]  # the command did not want it all
