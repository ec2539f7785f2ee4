"""Commands inside a server of an OpenStack region, through SSH with a run's own certificate."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure

from control_plane.kit import ssh
from control_plane.ports.automation.plugins.connections import OneCommandAtATime

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
_COMPLAINTS_MAX = 1 << 20


class Connection(OneCommandAtATime):
    """Ansible's connection plugin `edubba_ssh`."""

    transport = "edubba_ssh"
    _folder: Path | None = None

    def close(self) -> None:
        """End the connection that is kept, and forget the key."""
        if self._folder is not None:
            subprocess.run([*self._ssh(), "-O", "exit", "server"], capture_output=True, check=False)
            shutil.rmtree(self._folder)
            self._folder = None
        super().close()

    def ask(self, command: str, text: bytes, most: int) -> tuple[int, bytes, bytes]:
        """Run a command through SSH; see the base."""
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
        if code == ssh.LOST:
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
        return ssh.command(*files)

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
