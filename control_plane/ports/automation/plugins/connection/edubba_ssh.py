"""Commands inside a server of an OpenStack region, through SSH with a run's own certificate."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: edubba_ssh
short_description: Commands in a server of an OpenStack region
description:
  - Runs OpenSSH's client with a key and a certificate that open one server for one run.
  - What the server answers is bounded; too long an answer fails the task.
options:
  server:
    description: The server.
    type: str
    vars: [{name: inventory_hostname}]
  address:
    description: Where it is reached.
    type: str
    required: true
    vars: [{name: edubba_ssh_address}]
  host_key:
    description: The host key by which it is known.
    type: str
    required: true
    vars: [{name: edubba_ssh_host_key}]
  key:
    description: The run's private key.
    type: str
    required: true
    vars: [{name: edubba_ssh_key}]
  certificate:
    description: What signs for the run's key.
    type: str
    required: true
    vars: [{name: edubba_ssh_certificate}]
"""
OUTPUT_MAX = 4 << 20  # bytes; a module's answer is some kB, the longest list of packages 300
FILE_MAX = 64 << 20
_COMPLAINTS_MAX = 1 << 20
_LOST = 255  # ssh's own code: not reached, or not let in
_OPTIONS = (
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "HostKeyAlgorithms=ssh-ed25519",
    "PreferredAuthentications=publickey",
    "ConnectTimeout=30",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
    "ControlMaster=auto",
    "ControlPersist=30",
    "LogLevel=ERROR",
)


class Connection(ConnectionBase):  # type: ignore[misc]  # Ansible ships no types
    """Ansible's connection plugin `edubba_ssh`."""

    transport = "edubba_ssh"
    has_pipelining = True
    _folder: Path | None = None

    def _connect(self) -> Self:
        self._connected = True  # the first command connects
        return self

    def close(self) -> None:
        """End the connection that is kept, and forget the key."""
        if self._folder is not None:
            subprocess.run([*self._ssh(), "-O", "exit", "server"], capture_output=True, check=False)
            shutil.rmtree(self._folder)
            self._folder = None
        self._connected = False

    def exec_command(
        self,
        cmd: str,
        in_data: bytes | None = None,
        sudoable: bool = True,  # noqa: ARG002, FBT001, FBT002  # Ansible's own signature
    ) -> tuple[int, bytes, bytes]:
        """Run a command; return its exit status, output and complaints."""
        return self._ask(cmd, in_data or b"", OUTPUT_MAX)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Carry a file into the server."""
        self._must(f"cat > {shlex.quote(out_path)}", Path(in_path).read_bytes())

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Carry a file out of the server."""
        Path(out_path).write_bytes(self._must(f"cat {shlex.quote(in_path)}", b""))

    def _must(self, command: str, text: bytes) -> bytes:
        code, out, err = self._ask(command, text, FILE_MAX)
        if code:
            raise AnsibleConnectionFailure(f"{command}: {err.decode(errors='replace')[-500:]}")
        return out

    def _ask(self, command: str, text: bytes, most: int) -> tuple[int, bytes, bytes]:
        argv = [*self._ssh(), "server", command]
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as complaints:
            given.write(text)
            given.seek(0)
            with subprocess.Popen(
                argv, stdin=given, stdout=subprocess.PIPE, stderr=complaints
            ) as process:
                assert process.stdout is not None  # noqa: S101  # as was asked for
                out = process.stdout.read(most + 1)
                process.stdout.close()  # one that writes on without end is ended by that
                code = process.wait()
            complaints.seek(0)
            err = complaints.read(_COMPLAINTS_MAX)
        if len(out) > most:
            raise AnsibleConnectionFailure(f"the server wrote more than {most} bytes")
        if code == _LOST:
            raise AnsibleConnectionFailure(err.decode(errors="replace")[-500:])
        return code, out, err

    def _ssh(self) -> list[str]:
        folder = self._folder or self._write_files()
        files = (
            f"IdentityFile={folder}/key",
            f"CertificateFile={folder}/certificate",
            f"UserKnownHostsFile={folder}/hosts",
            f"HostKeyAlias={self.get_option('server')}",
            f"HostName={self.get_option('address')}",
            f"ControlPath={folder}/c",
            "User=root",
        )
        options = [part for one in (*_OPTIONS, *files) for part in ("-o", one)]
        return ["ssh", "-F", "none", "-T", *options]

    def _write_files(self) -> Path:
        """Keep what opens the server where nobody else can read it, for as long as the run is."""
        folder = Path(tempfile.mkdtemp(prefix="edubba-"))
        hosts = f"{self.get_option('server')} {self.get_option('host_key')}\n"
        for name, text in (
            ("key", self.get_option("key")),
            ("certificate", self.get_option("certificate")),
            ("hosts", hosts),
        ):
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(text)
        self._folder = folder
        return folder
