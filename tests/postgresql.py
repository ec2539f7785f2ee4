"""A PostgreSQL of the tests' own: on a free port, with nothing kept that a crash would need."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port
from tests.quick_disk import quick_place

BIN = Path("/usr/lib/postgresql/15/bin")
QUICK = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300"


@dataclass
class Postgresql:
    """A server that can be stopped and started again."""

    root: Path
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Its address, without the name of a database."""
        return f"postgresql+psycopg://owner@127.0.0.1:{self.port}"

    def make(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.root, "postgres", "postgres")
        self._run("initdb", "-A", "trust", "-U", "owner")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.root} -c listen_addresses=127.0.0.1 {QUICK}"
        self._run("pg_ctl", "-w", "-o", options, "start")

    def stop(self) -> None:
        """End it at once, as a crash would: all connections break."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    def _run(self, command: str, *arguments: str) -> None:
        argv = [str(BIN / command), "-D", str(self.root / "data"), *arguments]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            argv = ["runuser", "-u", "postgres", "--", *argv]
        # A log file, not a pipe: the server inherits it and would keep a pipe open for ever.
        with (self.root / "log").open("ab") as log:
            subprocess.run(argv, check=True, cwd=self.root, stdout=log, stderr=subprocess.STDOUT)


@contextmanager
def a_postgresql() -> Iterator[Postgresql]:
    """Give a running server; afterwards nothing of it is left, stopped or not."""
    server = Postgresql(Path(tempfile.mkdtemp(prefix="edubba-pg-", dir=quick_place())))
    try:
        server.make()
        server.start()
        yield server
    finally:
        if (server.root / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(server.root)
