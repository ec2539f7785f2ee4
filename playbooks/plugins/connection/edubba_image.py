"""Work inside the root of an image that is being made: a chroot with mounts of its own.

The mounts and the processes of a command end with it, so that a root never keeps anything busy.
Nothing of the caller's environment gets in, but where its proxies are.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: edubba_image
short_description: run tasks in the root of an image that is being made
description: Runs each command in a chroot that has its own mounts and processes.
author: Edubba
options:
  remote_addr:
    description: The root's path on this machine.
    type: path
    vars:
      - name: ansible_host
"""

# $0 is the root, $1 the command.
ENTER = """
mount -t proc -o nosuid,noexec,nodev proc "$0/proc"
mount -t sysfs -o ro,nosuid,noexec,nodev sysfs "$0/sys"
mount --rbind /dev "$0/dev"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$0/run"
exec chroot "$0" /bin/sh -c "$1"
"""
NAMESPACES = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Connection(ConnectionBase):  # type: ignore[misc]  # Ansible ships no types
    """A root on this machine."""

    transport = "edubba_image"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def close(self) -> None:
        """End nothing: a command ends by itself."""
        self._connected = False

    def _run(self, command: str, **streams: Any) -> subprocess.CompletedProcess[bytes]:
        root = str(self.get_option("remote_addr"))
        proxies = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
        argv = ["unshare", *NAMESPACES, "/bin/sh", "-e", "-c", ENTER, root, command]
        return subprocess.run(
            argv, env={**ENVIRONMENT, **proxies}, stderr=subprocess.PIPE, check=False, **streams
        )

    def exec_command(
        self,
        cmd: str,
        in_data: bytes | None = None,
        sudoable: bool = True,  # noqa: FBT001, FBT002  # Ansible's own signature
    ) -> tuple[int, bytes, bytes]:
        """Run a command and return its exit status, output and errors."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        done = self._run(cmd, input=in_data or b"", stdout=subprocess.PIPE)
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of this machine into the root."""
        super().put_file(in_path, out_path)
        with open(in_path, "rb") as source:  # noqa: PTH123  # a path of Ansible's, as it gives it
            done = self._run(f"cat > {self._shell.quote(out_path)}", stdin=source)
        _check(done, out_path)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the root to this machine."""
        super().fetch_file(in_path, out_path)
        with open(out_path, "wb") as target:  # noqa: PTH123  # a path of Ansible's, as it gives it
            done = self._run(
                f"cat {self._shell.quote(in_path)}", stdin=subprocess.DEVNULL, stdout=target
            )
        _check(done, in_path)


def _check(done: subprocess.CompletedProcess[bytes], path: str) -> None:
    if done.returncode:
        raise AnsibleConnectionFailure(f"{path}: {to_text(done.stderr)}")
