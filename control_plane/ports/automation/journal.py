"""The folders of runs: one each, private, and what must still be known after a crash."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from control_plane.ports.automation.port import RunFact
from control_plane.ports.automation.processes import Process
from control_plane.ports.automation.settings import INVENTORY_FILE, LEADER_FILE
from control_plane.ports.automation.wire import fact_from_json, fact_to_json

RECORD_FILE = "run.json"
# Where Ansible keeps modules as it packed them: a tenth of a second each.
PACKED = Path("tmp") / "ansiballz_cache"
KEPT = 500  # runs that are over; the worker forgets its own, this is for those it lost


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a run: which wish it was, and the last fact."""

    digest: str
    fact: RunFact


class Journal:
    """All runs' folders, and the modules that they packed; only the runner can enter them.

    Packed modules are forgotten with the process: another version of Ansible has others.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._packed = folder / "runs", folder / "packed"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(self._packed, ignore_errors=True)
        self._packed.mkdir(mode=0o700)

    def folder(self, run_id: str) -> Path:
        """Return the folder of a run; it is there once `begin` was called."""
        return self._folder / run_id

    def begin(self, record: Record) -> None:
        """Make a run's folder, with its record in it."""
        folder = self.folder(record.fact.run_id)
        folder.mkdir(mode=0o700)
        (folder / PACKED).mkdir(mode=0o700, parents=True)
        for path in self._packed.iterdir():
            (folder / PACKED / path.name).hardlink_to(path)
        (folder / INVENTORY_FILE).touch(mode=0o600)
        self.write(record)

    def write(self, record: Record) -> None:
        """Replace a run's record."""
        path = self.folder(record.fact.run_id) / RECORD_FILE
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"digest": record.digest, "fact": fact_to_json(record.fact)}))
        new.rename(path)

    def read(self, run_id: str) -> Record | None:
        """Return a run's record, if there is one."""
        try:
            value = json.loads((self.folder(run_id) / RECORD_FILE).read_text())
        except FileNotFoundError:
            return None
        return Record(value["digest"], fact_from_json(value["fact"]))

    def leader(self, run_id: str) -> Process | None:
        """Return the process that all of a run descends from, once it is on record."""
        try:
            value = json.loads((self.folder(run_id) / LEADER_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return Process(value["pid"], value["began"])

    def keep_packed(self, run_id: str) -> None:
        """Let later runs have the modules that this one packed."""
        for path in (self.folder(run_id) / PACKED).iterdir():
            kept = self._packed / path.name
            if path.is_file() and not path.is_symlink() and not kept.exists():
                kept.hardlink_to(path)

    def tidy(self, run_id: str) -> None:
        """Leave nothing in a run's folder but its record."""
        for path in self.folder(run_id).iterdir():
            if path.name == RECORD_FILE:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def remove(self, run_id: str) -> None:
        """Remove a run's folder; nothing happens if there is none."""
        folder = self.folder(run_id)
        if folder.is_dir():
            shutil.rmtree(folder)

    def list_ids(self) -> Iterator[str]:
        """Give the ids of all runs with a folder, the oldest first."""
        yield from sorted(path.name for path in self._folder.iterdir())
