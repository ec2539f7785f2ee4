"""People at a terminal: the real command line against the real application over HTTP.

Commands run in this process, so that a hundred of them take seconds; that `edubba` is a program
of its own is seen in `test_program.py`.
"""

import io
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from control_plane.cli.credentials import slot_of
from control_plane.cli.main import app
from control_plane.engine.engine import Engine
from control_plane.engine.registry import Registry
from control_plane.engine.sweep import find_due_lives
from control_plane.identity.actions import set_password
from control_plane.identity.queries import find_person_by_email
from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.kit.passwords import hash_password
from control_plane.ledger import queries as ledger
from control_plane.ledger.rules import SYSTEM
from control_plane.ledger.steps import FLOW
from control_plane.tenancy.models import Agency
from control_plane.tenancy.queries import list_regions
from tests.api import Api, User, a_person, an_agency
from tests.centre import FLOWS, Centre, a_centre
from tests.serving import served
from tests.stories.cli import Account, Done

_NUMBERS = count(1)


@dataclass
class Terminal:
    """Somebody's own: their home, what they are logged in with, the folder they are in."""

    url: str
    home: Path
    token: str = ""
    folder: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def ledger_folder(self) -> Path:
        """Where checkpoints of the platform are kept."""
        return self.home / ".local" / "state" / "edubba" / "ledger" / slot_of(self.url)

    def run(self, *arguments: str, language: str = "en", stdin: str = "") -> Done:
        """Run a command to its end, however it ends."""
        output, errors = _Stream(), _Stream()
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("EDUBBA_", "XDG_", "L"))]:
                patch.delenv(name)
            told = {"HOME": str(self.home), "LANG": f"{language}.UTF-8", "EDUBBA_URL": self.url}
            told |= {"EDUBBA_TOKEN": self.token} if self.token else {}
            for name, value in (told | {"COLUMNS": "200"} | self.variables).items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            patch.chdir(self.folder or self.home)
            with redirect_stdout(output), redirect_stderr(errors):
                code = app(list(arguments))
        return Done(code, output.text, errors.text)

    def ask(self, *arguments: str) -> Any:
        """Run a command that must succeed, with --json; return what it answered."""
        done = self.run(*arguments, "--json")
        assert done.code == 0, (arguments, done)
        return done.json

    def tell(self, *arguments: str, language: str = "en") -> str:
        """Run a command that must succeed; return what a person reads."""
        done = self.run(*arguments, language=language)
        assert done.code == 0, (arguments, done)
        return done.output


class _Stream(io.TextIOWrapper):
    """Takes what the command writes, as bytes or text; the server's own words go on to the log."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._writer, self._others = threading.get_ident(), sys.stdout

    def write(self, text: str) -> int:
        is_ours = threading.get_ident() == self._writer
        return super().write(text) if is_ours else self._others.write(text)

    @property
    def text(self) -> str:
        self.flush()
        raw: bytes = self.buffer.getvalue()  # type: ignore[attr-defined]  # it is the one above
        return raw.decode()


@dataclass
class World:
    """A served data centre whose engine runs, and a new home for everybody who is asked for."""

    centre: Centre
    url: str
    homes: Path

    @property
    def api(self) -> Api:
        return self.centre.api

    @property
    def db(self) -> Database:
        return self.centre.api.db

    @property
    def region_id(self) -> str:
        with self.db.read() as session:
            [region] = list_regions(session)
            return region.id

    def is_all_signed(self) -> bool:
        """Whether a signed checkpoint covers all that happened."""
        with self.db.read() as session:
            is_open = ledger.count_unsequenced(session) or ledger.find_unsigned_checkpoint(session)
            return not is_open and ledger.signed_size(session) > 0

    def terminal(self, user: User | None = None) -> Terminal:
        home = self.homes / f"home-{next(_NUMBERS)}"
        home.mkdir()
        return Terminal(self.url, home, user.secret if user else "")

    def person(self, role: Role, agency: Agency | None = None) -> Terminal:
        return self.terminal(a_person(self.api, role, agency))

    def agency(self, name: str = "agency") -> Agency:
        """Give an agency that no other test knows."""
        return an_agency(self.db, f"{name}-{next(_NUMBERS)}")


def an_account(world: World, role: Role, agency: Agency | None = None) -> Account:
    email = a_person(world.api, role, agency).person.email
    assert email is not None
    account = Account(email, "correct horse battery")
    with world.db.begin() as session:
        person = find_person_by_email(session, account.email)
        assert person is not None
        set_password(session, SYSTEM, person.id, hash_password(account.password))
    return account


def await_so(is_so: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Look until it is so: the engine works beside the test."""
    ends_at = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < ends_at, is_so
        threading.Event().wait(0.05)


@contextmanager
def a_world(db: Database, homes: Path, **changes: Any) -> Iterator[World]:
    """Serve a data centre in memory over HTTP, with an engine that works beside it.

    `changes` are fields of the desk.
    """
    with a_centre(db, **changes) as centre, served(centre.api.app) as url, _working(centre):
        made = World(centre, url, homes)
        await_so(made.is_all_signed)
        yield made


@contextmanager
def _working(centre: Centre) -> Iterator[None]:
    registry = Registry([*FLOWS, FLOW])
    engine = Engine(centre.api.db, centre.engine._ports, registry, "cli")
    stopped, failures = threading.Event(), []

    def work() -> None:
        while not stopped.wait(0.02):
            try:
                for life_id in find_due_lives(centre.api.db, registry):
                    engine.advance(life_id)
            except Exception:  # noqa: BLE001  # told at the end, where the test sees it
                failures.append(traceback.format_exc())
                return

    worker = threading.Thread(target=work, name="engine")
    worker.start()
    try:
        yield
    finally:
        stopped.set()
        worker.join(20)
    assert not failures, failures[0]
