"""What the connection plugins have in common: all of it is one command with an input and an output.

Ansible loads a plugin by its file; this is what those files build on.
"""

import shlex
from abc import abstractmethod
from pathlib import Path
from typing import Self

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

OUTPUT_MAX = 4 << 20  # bytes; a module's answer is some kB, the longest list of packages 300
FILE_MAX = 64 << 20


class OneCommandAtATime(ConnectionBase):  # type: ignore[misc]  # Ansible ships no types
    """A connection whose every use is one command in the server; each connects anew."""

    has_pipelining = True

    @abstractmethod
    def ask(self, command: str, text: bytes, most: int) -> tuple[int, bytes, bytes]:
        """Run a command with an input; return its exit status, output and complaints.

        Raises AnsibleConnectionFailure where the server is not reached, or writes more than `most`
        bytes.
        """

    def _connect(self) -> Self:
        self._connected = True
        return self

    def close(self) -> None:
        """Forget the connection."""
        self._connected = False

    def exec_command(
        self,
        cmd: str,
        in_data: bytes | None = None,
        sudoable: bool = True,  # noqa: ARG002, FBT001, FBT002  # Ansible's own signature
    ) -> tuple[int, bytes, bytes]:
        """Run a command; return its exit status, output and complaints."""
        return self._bounded(cmd, in_data or b"", OUTPUT_MAX)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Carry a file into the server."""
        self._must(f"cat > {shlex.quote(out_path)}", Path(in_path).read_bytes())

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Carry a file out of the server."""
        Path(out_path).write_bytes(self._must(f"cat {shlex.quote(in_path)}", b""))

    def _must(self, command: str, text: bytes) -> bytes:
        code, out, err = self._bounded(command, text, FILE_MAX)
        if code:
            raise AnsibleConnectionFailure(f"{command}: {err.decode(errors='replace')[-500:]}")
        return out

    def _bounded(self, command: str, text: bytes, most: int) -> tuple[int, bytes, bytes]:
        code, out, err = self.ask(command, text, most)
        if len(out) > most:
            raise AnsibleConnectionFailure(f"the server wrote more than {most} bytes")
        return code, out, err
