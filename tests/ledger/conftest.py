"""A ledger with its life and a real key, on an empty database of each kind."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.engine import lives
from control_plane.engine.engine import Engine
from control_plane.engine.registry import Registry
from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.ledger import actions, queries
from control_plane.ledger.exports import export_lines
from control_plane.ledger.note import VerifierKey
from control_plane.ledger.rules import BIRTH, LOG_ID
from control_plane.ledger.steps import FLOW
from control_plane.ports.bundle import Ports

ORIGIN = "edubba.test/ledger"


class SigningKeyring:
    """The ledger's part of a keyring; `before` and `after` each signature something may happen."""

    def __init__(self, seed: bytes = bytes(range(32))) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        self.signed: list[bytes] = []
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def ledger_public_key(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    def sign_checkpoint(self, body: bytes) -> bytes:
        self.before()
        self.signed.append(body)
        signature = self.private.sign(body)
        self.after()
        return signature


class Ledger:
    """What the tests do with a ledger."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.keyring = SigningKeyring()
        self._time = timedelta()
        self.engine = self.new_engine("first")
        with db.begin() as session:
            actions.ensure_log(session, ORIGIN)
        with db.read() as session:
            life = lives.find_life(session, BIRTH.kind, LOG_ID)
        assert life is not None
        self.life_id = life.id

    @property
    def vkey(self) -> str:
        return str(VerifierKey(ORIGIN, self.keyring.ledger_public_key()))

    def new_engine(self, holder: str) -> Engine:
        ports = Ports(
            clouds={},
            edge=cast("Any", None),
            blobs=cast("Any", None),
            keyring=cast("Any", self.keyring),
            automation=cast("Any", None),
        )
        return Engine(self.db, ports, Registry([FLOW]), holder)

    def append(self, count: int = 1, **differing: Any) -> list[str]:
        with self.db.begin() as session:
            return [self.append_in(session, number=n, **differing) for n in range(count)]

    def append_in(self, session: Any, number: int = 0, **differing: Any) -> str:
        entry = {
            "actor_id": "psn_test",
            "action": "hosting.requested",
            "subject_id": f"hst_{number}",
            "agency_id": "agy_test",
            "payload": {"number": number, "name": "موقع الوزارة"},
        }
        return actions.append(session, **(entry | differing))

    def seal(self, engine: Engine | None = None) -> int:
        """Let the life work until it rests, as if it had rested since the last time."""
        self._time += timedelta(seconds=1)
        with clock.shifted(self._time):
            return (engine or self.engine).advance(self.life_id)

    def export(self) -> list[bytes]:
        with self.db.read() as session:
            return list(export_lines(session))

    def newest(self) -> str:
        with self.db.read() as session:
            checkpoint = queries.latest_checkpoint(session)
        assert checkpoint is not None
        assert checkpoint.note is not None
        return checkpoint.note


@pytest.fixture
def ledger(db: Database) -> Ledger:
    return Ledger(db)
