"""What the daemon must still know after a crash: specifications and fences, one small file each."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from control_plane.locald.checks import IDS, Limits, Server
from control_plane.locald.faults import Refusal
from control_plane.locald.names import Names


def write_durably(path: Path, content: str) -> None:
    """Replace a file; after a crash or a power cut it has its old or its new content."""
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Fences:
    """The highest counter seen of each life: who comes with a lower one has lost its lease."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def check(self, life_id: str, counter: int) -> None:
        """Remember the counter. Raises Refusal (`stale_fence`) where a higher one was seen."""
        with self._lock:
            if counter > self._look(life_id, counter):
                write_durably(self._folder / life_id, str(counter))

    def look(self, life_id: str, counter: int) -> None:
        """Raise Refusal (`stale_fence`) where a higher one was seen; remember nothing."""
        with self._lock:
            self._look(life_id, counter)

    def _look(self, life_id: str, counter: int) -> int:
        path = self._folder / life_id
        seen = int(path.read_text()) if path.is_file() else -1
        if counter < seen:
            raise Refusal("stale_fence", life=life_id, counter=counter, seen=seen)
        return seen


class Locks:
    """One lock a server or tenant, made when it is first asked for."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold the lock of this name."""
        with self._guard:
            lock = self._locks.setdefault(name, threading.RLock())
        with lock:
            yield


class Records:
    """Tenants and servers as they were last wished for, and whether they ever held data."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._allocating = threading.Lock()

    def _spec_path(self, server_id: str) -> Path:
        return self._names.server_dir(server_id) / "spec.json"

    def find_server(self, server_id: str) -> Server | None:
        """Return a server's specification, if it was ever made and not destroyed."""
        return _read_server(self._spec_path(server_id))

    def list_servers(self) -> list[Server]:
        """Return all servers' specifications."""
        paths = sorted(self._names.servers_dir.glob("*/spec.json"))
        return [spec for spec in map(_read_server, paths) if spec]

    def list_server_ids(self) -> list[str]:
        """Return every server of which anything is left on disk, also without specification."""
        found = self._names.servers_dir.glob("*")
        return sorted(path.name for path in found if IDS["server"].fullmatch(path.name))

    def save_server(self, spec: Server) -> None:
        """Remember the wish before anything is made of it.

        Raises Refusal where another server has its serial, or where its identity would change.
        """
        with self._allocating:
            known = self.list_servers()
            for other in known:
                if other.serial == spec.serial and other.server_id != spec.server_id:
                    raise Refusal("allocation_taken", serial=spec.serial, by=other.server_id)
            before = self.find_server(spec.server_id)
            if before == spec:
                return
            if before:
                _check_change(before, spec)
            write_durably(self._spec_path(spec.server_id), json.dumps(asdict(spec), indent=1))

    def forget_server(self, server_id: str) -> None:
        """Remove all that is remembered of a server."""
        folder = self._names.server_dir(server_id)
        if folder.is_dir():
            shutil.rmtree(folder)
            sync_folder(folder.parent)

    def mark_data(self, server_id: str) -> None:
        """Remember that tenant data was written to a server."""
        mark = self._names.server_dir(server_id) / "holds_data"
        if not mark.exists():
            write_durably(mark, "")

    def holds_data(self, server_id: str) -> bool:
        """Whether tenant data was ever written to a server."""
        return (self._names.server_dir(server_id) / "holds_data").exists()

    def save_tenant(self, tenant_id: str, agency_id: str, epoch: int) -> None:
        """Remember a tenant."""
        record = {"tenant_id": tenant_id, "agency_id": agency_id, "epoch": epoch}
        write_durably(self._names.tenants_dir / f"{tenant_id}.json", json.dumps(record))

    def find_tenant(self, tenant_id: str) -> dict[str, Any] | None:
        """Return a tenant's record, if there is one."""
        try:
            record: dict[str, Any] = json.loads(
                (self._names.tenants_dir / f"{tenant_id}.json").read_text()
            )
        except FileNotFoundError:
            return None
        return record

    def list_tenants(self) -> list[dict[str, Any]]:
        """Return all tenants' records."""
        paths = sorted(self._names.tenants_dir.glob("*.json"))
        return [record for record in map(self.find_tenant, (p.stem for p in paths)) if record]

    def forget_tenant(self, tenant_id: str) -> None:
        """Remove a tenant's record."""
        (self._names.tenants_dir / f"{tenant_id}.json").unlink(missing_ok=True)


def _read_server(path: Path) -> Server | None:
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return Server(**{**record, "limits": Limits(**record["limits"])})


def _check_change(before: Server, after: Server) -> None:
    if (before.serial, before.tenant_id) != (after.serial, after.tenant_id):
        raise Refusal("server_identity_changed", server=before.server_id)
    if after.limits.disk_mib < before.limits.disk_mib:
        raise Refusal("disk_cannot_shrink", from_mib=before.limits.disk_mib)
