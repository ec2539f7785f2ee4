"""The database: PostgreSQL in production, SQLite as the embedded default, the same code on both.

`begin` is one write transaction; on SQLite it takes the write lock at once (BEGIN IMMEDIATE), so
that reading and then writing inside it can't lose a race. Nothing foreign happens inside one.
"""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, ClassVar

from sqlalchemy import DateTime, Dialect, MetaData, Text, create_engine, event, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DataError, InvalidatePoolError, OperationalError
from sqlalchemy.types import JSON, TypeDecorator
from sqlmodel import Session, SQLModel

from control_plane.kit import clock
from control_plane.kit.errors import Problem, Unavailable

# Alembic needs to find a constraint by name to change it.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
METADATA: MetaData = SQLModel.metadata

POOL_SIZE = 10  # writes and inline reads; the web's thread pool is no larger, see `kit.http`
BUSY_TIMEOUT_MS = 10_000
STATEMENT_TIMEOUT_MS = 15_000
_ASKED = "server_time"


class ValueUnstorable(Problem):
    """Something sent is a value that the database has no room for."""

    code: ClassVar[str] = "value_unstorable"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "A value that was sent can't be stored"
    mend: ClassVar[str] = "Remove control characters, and check whether a number is too large."


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python; `timestamptz` on PostgreSQL, ISO 8601 text (sorts right) on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose text on SQLite, which has no type that keeps a zone."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse naive times: they would be some machine's local time."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "naive datetime"
            raise ValueError(msg)
        value = value.astimezone(UTC)
        return value.isoformat(timespec="microseconds") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give back what was stored, aware."""
        if value is None:
            return None
        moment: datetime = datetime.fromisoformat(value) if dialect.name == "sqlite" else value
        return moment.astimezone(UTC)


JsonColumn = JSON(none_as_null=True)


class Database:
    """One engine with its sessions; made once by each composition root, closed with `close`."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        self.url: URL = make_url(url)
        self.engine: Engine = _new_engine(self.url, pool_size)

    @property
    def is_postgresql(self) -> bool:
        """Whether this is the production database."""
        return self.url.get_backend_name() == "postgresql"

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """One write transaction: committed at the end, rolled back on any exception."""
        with self._session("IMMEDIATE") as session:
            yield session
            session.commit()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One read transaction, with one view of the data; whatever is written is lost."""
        with self._session("DEFERRED") as session:
            yield session

    @contextmanager
    def _session(self, sqlite_mode: str) -> Iterator[Session]:
        options = {"sqlite_mode": sqlite_mode}
        try:
            with (
                self.engine.connect().execution_options(**options) as connection,
                Session(connection, expire_on_commit=False) as session,
            ):
                yield session
        except OperationalError as error:
            raise Unavailable("database_unavailable") from error
        except DataError as error:  # a NUL in a text, a number beyond the column's range
            raise ValueUnstorable from error

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _new_engine(url: URL, pool_size: int) -> Engine:
    if url.get_backend_name() == "postgresql":
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            hide_parameters=True,  # errors are logged, and rows hold what logs must not
            connect_args={
                "connect_timeout": 5,
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC",
            },
        )
        event.listen(engine, "checkout", _refuse_closed)
        return engine
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Have the pool replace what the server closed meanwhile, without a question to the server.

    Where nothing was asked nothing is to be read, but the end.
    """
    idle = select.poll()
    idle.register(connection.fileno(), select.POLLIN)
    if idle.poll(0):
        raise InvalidatePoolError


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would begin by itself, and too late
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",  # an acknowledged commit survives a power loss
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    mode = connection.get_execution_options().get("sqlite_mode", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def database_now(session: Session) -> datetime:
    """Return the time that decides leases: the server's on PostgreSQL, else `kit.clock`'s.

    The server is asked once a session; its time goes on from there, also within a transaction.
    """
    connection = session.connection()
    if connection.dialect.name != "postgresql":
        return clock.now()
    if _ASKED not in session.info:
        moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        session.info[_ASKED] = moment.astimezone(UTC), monotonic()
    told, then = session.info[_ASKED]
    passed = timedelta(seconds=monotonic() - then)
    answer: datetime = told + passed + clock.offset()
    return answer
