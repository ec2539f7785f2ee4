#!/usr/bin/python3 -IS
"""Tell what the services of this server wrote since somebody last asked: bounded, oldest first.

Standard input is a line of JSON, the mark of each service as it was told last, then `end`. A mark
is the time with which a file begins and a place in it: s6-log renames files, and never changes what
is in them. The answer is a line of JSON:

    lines    [service, time, text, whether it was cut], in the order in which they were written
    marks    by service, for the next time
    lost     by service: bytes that are passed over here, as more was written than is told at once

The files belong to the user of the services, who may have put anything in their place.
"""

import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

SERVICES = Path("/etc/hosting/services.json")
LOGS = Path("/srv/log")
ALL_BYTES = 128 * 1024  # what is told at once, shared between the services
LINE_BYTES = 4096
SERVICES_MAX = 64
FILES_MAX = 16  # s6-log keeps five
MARKS_BYTES = 16 * 1024  # more than the marks of so many services take
STAMP = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9})  ?")
STAMP_BYTES = 31
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class File:
    """A part of a log: `begins` is its first time, by which it is known whatever its name is."""

    handle: int
    begins: str
    size: int


@dataclass(slots=True)
class Unread:
    """What nobody was told of a service: from a place in the first of the files on."""

    service: str
    files: list[File]
    place: int = 0
    lost: int = 0

    @property
    def size(self) -> int:
        """How many bytes that is."""
        return sum(file.size for file in self.files) - self.place

    def pass_over(self, most: int) -> None:
        """Leave out the oldest, so that no more than so many bytes are left."""
        self.lost = max(0, self.size - most)
        self.place += self.lost
        while len(self.files) > 1 and self.place >= self.files[0].size:
            self.place -= self.files.pop(0).size

    def tell(self) -> tuple[list[tuple[str, str, str, bool]], str | None]:
        """Return the lines, and the mark that is behind them."""
        told, mark = [], None
        for number, file in enumerate(self.files):
            place = self.place if number == 0 else 0
            data = os.pread(file.handle, file.size - place, place)
            if number == 0 and self.lost:
                # The first line is a rest of one.
                rest = data.find(b"\n") + 1 or len(data)
                data, place, self.lost = data[rest:], place + rest, self.lost + rest
            whole, _, unfinished = data.rpartition(b"\n")
            if number < len(self.files) - 1 and unfinished:
                whole, unfinished = data, b""
            told += [_parsed(self.service, line) for line in whole.split(b"\n")] if whole else []
            if file.begins:
                mark = f"{file.begins} {place + len(data) - len(unfinished)}"
        return told, mark


def _parsed(service: str, line: bytes) -> tuple[str, str, str, bool]:
    stamp = STAMP.match(line)
    text = line[stamp.end() :] if stamp else line
    when = stamp.group(1).decode() if stamp else ""
    return service, when, text[:LINE_BYTES].decode(errors="replace"), len(text) > LINE_BYTES


def _open(name: str, folder: int) -> File | None:
    try:
        handle = os.open(name, _FLAGS, dir_fd=folder)
    except OSError:  # renamed a moment ago, or no file
        return None
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        os.close(handle)
        return None
    stamp = STAMP.match(os.pread(handle, STAMP_BYTES, 0))
    return File(handle, stamp.group(1).decode() if stamp else "", about.st_size)


def open_files(service: str, opened: ExitStack) -> list[File]:
    """Open a log's files, the oldest first.

    The one that is written to comes first to be opened and last in the list: whatever name it is
    given meanwhile, it is not missed.
    """
    try:
        folder = os.open(LOGS / service, _FLAGS | os.O_DIRECTORY)
    except OSError:
        return []
    opened.callback(os.close, folder)
    present = _open("current", folder)
    with os.scandir(folder) as entries:
        names = [entry.name for entry in islice(entries, FILES_MAX) if entry.name[0] == "@"]
    files = [file for name in sorted(names) if (file := _open(name, folder))]
    for file in (*files, *([present] if present else [])):
        opened.callback(os.close, file.handle)
    known = {_identity(file) for file in files}
    return files + ([present] if present and _identity(present) not in known else [])


def _identity(file: File) -> tuple[int, int]:
    about = os.fstat(file.handle)
    return about.st_dev, about.st_ino


def find_unread(service: str, files: list[File], mark: str) -> Unread:
    """Return what is behind a mark; all there is, where its file is gone or it is none."""
    begins, _, place = mark.rpartition(" ")
    for number, file in enumerate(files):
        is_there = place.isdecimal() and int(place) <= file.size
        if begins and file.begins == begins and is_there:
            return Unread(service, files[number:], int(place))
    return Unread(service, files)


def _share(all_unread: list[Unread]) -> None:
    """Let each service tell as much as any other, and what it doesn't need the others."""
    left = ALL_BYTES
    by_size = sorted(all_unread, key=lambda unread: unread.size)
    for number, unread in enumerate(by_size):
        unread.pass_over(left // (len(by_size) - number))
        left -= unread.size


def tell(marks: Mapping[str, str]) -> dict[str, Any]:
    """Return what is new since these marks."""
    with ExitStack() as opened:
        all_unread = [
            find_unread(name, files, str(marks.get(name, "")))
            for name in _services()
            if (files := open_files(name, opened))
        ]
        _share(all_unread)
        told = {unread.service: unread.tell() for unread in all_unread}
    lines = [line for found, _ in told.values() for line in found]
    return {
        "lines": sorted(lines, key=lambda line: line[1]),
        "marks": {name: mark for name, (_, mark) in told.items() if mark},
        "lost": {unread.service: unread.lost for unread in all_unread if unread.lost},
    }


def _services() -> Iterator[str]:
    try:
        declared = json.loads(SERVICES.read_text())
    except FileNotFoundError:
        return
    yield from islice(declared, SERVICES_MAX)


def _asked() -> dict[str, str]:
    line = sys.stdin.buffer.readline(MARKS_BYTES)
    marks = json.loads(line) if line.endswith(b"\n") else None
    if not isinstance(marks, dict):
        raise SystemExit("no marks")
    return marks


if __name__ == "__main__":
    answer = json.dumps(tell(_asked()), ensure_ascii=False)
    sys.stdout.buffer.write(answer.encode(errors="replace") + b"\n")
