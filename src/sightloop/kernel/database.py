"""The workspace's database: short write transactions, readers that never wait.

Tables are declared by the room that owns them, on the one `metadata` below; wiring imports the
rooms, so that `create` knows all tables. Where the tables lie is told by a URL: in SQLite files
(`sqlite`), or on a PostgreSQL server (`postgresql`). Both give transactions the same meaning.

Metric points come in by the thousand and must not queue behind records, nor records behind them.
Tables of the schema `POINTS` are therefore written through `Database.points`, which shares no lock
with the records; readers see both in one view.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar, cast

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from sightloop.kernel.database_errors import (
    DatabaseAway,
    DatabaseBusy,
    DatabaseDamaged,
    NotAWorkspaceDatabase,
    NumberTooLarge,
    UnfitDatabase,
    UnfitText,
    WorkspaceTooNew,
    WritersCollided,
)
from sightloop.kernel.errors import BadInput, NotFound, SightloopError
from sightloop.kernel.sqlite import SCHEME, SqliteFiles, sqlite_url

__all__ = [
    "BUSY_TIMEOUT_S",
    "POINTS",
    "SCHEMA_VERSION",
    "Database",
    "DatabaseAway",
    "DatabaseBusy",
    "DatabaseDamaged",
    "NotAWorkspaceDatabase",
    "NumberTooLarge",
    "Tx",
    "UnfitDatabase",
    "UnfitText",
    "WorkspaceTooNew",
    "WritersCollided",
    "all_tables",
    "declare_tables_by",
    "metadata",
    "sqlite_url",
]

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 20.0

POINTS = "points"
"""The schema of tables that are written through `Database.points`."""

metadata = MetaData()
_T = TypeVar("_T")
Tx = Connection
"""An open transaction; only store modules execute statements on it."""

_schema = Table(
    "schema_info",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
)


class Backend(Protocol):
    """What `Database` asks of a kind of database. Engines and pools are shared by threads."""

    shown_url: str
    """The address without names and passwords of people."""
    points_url: str
    """Where points are written apart from the records; empty where they are not."""

    @property
    def writing(self) -> Engine:
        """A transaction with the option `sightloop_write` shuts out other writers as it begins."""

    @property
    def reading(self) -> Engine:
        """Each of its transactions sees one moment, records and points."""

    def prepare(self, tx: Connection) -> None:
        """Refuse a place where no workspace can be, before tables are made."""

    def size_bytes(self) -> int:
        """As `Database.size_bytes`."""

    def give_back_space(self) -> None:
        """As `Database.give_back_space`."""

    def forget_deleted(self) -> bool:
        """As `Database.forget_deleted`."""

    def told(self, error: Exception) -> SightloopError | None:
        """What an error of the driver means to people; None for one that is a bug of ours."""

    def close(self) -> None:
        """Close every connection."""


class Database:
    """One database, shared by any number of threads and processes."""

    def __init__(
        self, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S, is_for_points: bool = False
    ) -> None:
        self.url = url
        self._backend = _backend(url, busy_timeout_s, is_for_points=is_for_points)
        # Waiting writers can starve one another; a queue per process costs nothing.
        self._writers = threading.Lock()
        self._together = threading.Lock()
        self._waiting: deque[_Waiting[Any]] = deque()
        self._is_ours = False
        """Whether it was seen to be a workspace's: if it is none afterwards, it was destroyed."""
        self.points = self
        """Where the tables of the schema `POINTS` are written."""
        if side := self._backend.points_url:
            self.points = Database(side, busy_timeout_s=busy_timeout_s, is_for_points=True)

    def create(self) -> None:
        """Make the tables of a new workspace; a second call changes nothing.

        Raises:
            UnfitDatabase: no workspace can be there, or this user may not make tables.
        """
        with self.points.write() as tx:
            self._make(tx, _tables_of(POINTS))
        with self.write() as tx:
            self._make(tx, _tables_of(None))
            if tx.execute(select(_schema.c.version)).first() is None:
                tx.execute(insert(_schema).values(name="sightloop", version=SCHEMA_VERSION))
        self._know_as_ours()

    def check(self) -> None:
        """Refuse a database that this version must not touch.

        Raises:
            NotFound: nothing was created there yet.
            NotAWorkspaceDatabase: it belongs to something else.
            WorkspaceTooNew: a later Sightloop wrote it.
        """
        with self._translated(), self._backend.writing.connect() as connection:
            tables = inspect(connection).get_table_names()
            if not tables:
                raise NotFound(
                    what="database", name=self.shown_url, hint="run `sightloop init` first"
                )
            if _schema.name not in tables:
                raise NotAWorkspaceDatabase(url=self.shown_url)
            found = connection.execute(select(_schema.c.version)).scalar_one()
        if found > SCHEMA_VERSION:
            raise WorkspaceTooNew(found=found, known=SCHEMA_VERSION, url=self.shown_url)
        self._know_as_ours()

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A consistent view of the database; never waits for a writer."""
        with self._translated(), self._backend.reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """A transaction that is all there after the block, or not at all after an exception.

        Keep it short: no network, no image decoding, no waiting inside.

        Raises:
            DatabaseBusy: the write lock was not free in time.
            DiskFull: no room; nothing was written.
            DatabaseDamaged: the file is corrupt.
        """
        with self._translated(), self._writers, self._backend.writing.connect() as plain:
            connection = plain.execution_options(sightloop_write=True)
            with connection.begin():
                yield connection

    @property
    def shown_url(self) -> str:
        """Where the database is, as anybody may see it."""
        return self._backend.shown_url

    def size_bytes(self) -> int:
        """What the database takes on disk, its log included; 0 where it is not a local file."""
        return self._backend.size_bytes()

    def give_back_space(self) -> None:
        """Return pages that nothing needs any more to the file system.

        Moves pages from the end of the file into the gaps, some at a time, and empties the log.
        Where the database is no SQLite file, its own server does that.

        Raises:
            DatabaseBusy: another process kept the write lock for too long; repeat it later.
        """
        with self._translated(), self._writers:
            self._backend.give_back_space()

    def forget_deleted(self) -> bool:
        """Write the database anew, so that no byte of what was deleted is left in its files.

        False when a reader kept the log from being emptied; call again later. Takes about 3 s and
        the room of a second copy per gigabyte. The log and the backups of a database server are in
        the hands of whoever runs it.

        Raises:
            DatabaseBusy: another process kept the write lock for too long.
            DiskFull: no room for the copy.
        """
        with self._translated(), self._writers:
            return self._backend.forget_deleted()

    def write_together(self, change: Callable[[Tx], _T]) -> _T:
        """The result of the change, made durable in one transaction with those that wait beside it.

        Many small writers share the cost of a commit. Each change is all there or not at all, and
        what it raises is raised to its own caller only.

        Raises:
            DatabaseBusy: the write lock was not free in time.
            DiskFull: no room; nothing was written.
            DatabaseDamaged: the file is corrupt.
        """
        mine = _Waiting(change)
        self._waiting.append(mine)
        with self._together:
            if not mine.is_done:  # else whoever went before took it along
                self._write_waiting()
        return mine.outcome()

    def close(self) -> None:
        """Close every connection; the object cannot be used afterwards."""
        self._backend.close()
        if self.points is not self:
            self.points.close()

    def _know_as_ours(self) -> None:
        self._is_ours = True
        if self.points is not self:
            self.points._know_as_ours()  # noqa: SLF001 - another of this very class

    def _make(self, tx: Tx, tables: list[Table]) -> None:
        self._backend.prepare(tx)
        metadata.create_all(tx, tables=tables)

    def _write_waiting(self) -> None:
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            try:
                self._write_all(taken)
            except WritersCollided:
                self._write_each(taken)
        except BaseException as error:
            for one in taken:
                one.fail(error)
            raise

    def _write_all(self, changes: Sequence[_Waiting[Any]]) -> None:
        with self.write() as tx:
            if len(changes) == 1:  # needs no savepoint, which costs two more messages
                changes[0].make(tx)
            else:
                for one in changes:
                    one.make_or_undo(tx, self._backend.told)
        for one in changes:
            one.is_done = True

    def _write_each(self, changes: Sequence[_Waiting[Any]]) -> None:
        """Changes of points in transactions of their own.

        Each locks its rows in their order, so that alone they cannot collide.
        """
        for one in changes:
            try:
                self._write_all([one])
            except SightloopError as error:
                one.fail(error)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OverflowError) as error:
            told = self._backend.told(error)
            if told is None:
                raise
            if self._is_ours and isinstance(told, NotAWorkspaceDatabase):
                # Nobody's request is to blame, and what a client sends must wait, not be refused.
                told = DatabaseDamaged(url=self.shown_url, detail=str(error).partition("\n")[0])
            raise told from error


class _Waiting(Generic[_T]):
    """A change that waits for a transaction, and what came of it."""

    def __init__(self, change: Callable[[Tx], _T]) -> None:
        self._change = change
        self._value: _T | None = None
        self._error: BaseException | None = None
        self.is_done = False

    def make(self, tx: Tx) -> None:
        """Make the change, in a transaction that it shares with none."""
        self._value, self._error = self._change(tx), None

    def make_or_undo(self, tx: Tx, told: Callable[[Exception], SightloopError | None]) -> None:
        """Make the change; a refusal, also one by the database, undoes this one alone."""
        try:
            with tx.begin_nested():
                self.make(tx)
        except SightloopError as error:
            self._error = error
        except (SQLAlchemyError, OverflowError) as error:
            refusal = told(error)
            if not isinstance(refusal, BadInput):
                raise
            refusal.__cause__ = error
            self._error = refusal

    def fail(self, error: BaseException) -> None:
        """None of its transaction came about."""
        if not self.is_done:
            self._error, self.is_done = error, True

    def outcome(self) -> _T:
        if self._error is not None:
            raise self._error
        return cast("_T", self._value)


_declaring: list[Callable[[], None]] = []


def declare_tables_by(load: Callable[[], None]) -> None:
    """Have `load` import every module with tables before anybody needs all of them.

    Most commands need few: loading them all takes longer than the work of many a command.
    """
    _declaring.append(load)


def all_tables() -> list[Table]:
    """Every table that any room declares, those that others refer to first."""
    for load in _declaring:
        load()
    return metadata.sorted_tables


def _tables_of(schema: str | None) -> list[Table]:
    return [one for one in all_tables() if one.schema == schema]


def _backend(url: str, busy_timeout_s: float, *, is_for_points: bool) -> Backend:
    if url.startswith(SCHEME):
        return SqliteFiles(url, busy_timeout_s, points_schema=POINTS)
    # Most workspaces are files, and most commands short: they need not load another database's
    # dialect.
    from sightloop.kernel.postgresql import SCHEMES, PostgresDatabase

    if not url.startswith(SCHEMES):
        scheme = url.partition(":")[0][:20]
        problem = f"its address begins with {scheme!r}, not with sqlite: or postgresql:"
        raise UnfitDatabase(url="[database] url", problem=problem)
    return PostgresDatabase(url, busy_timeout_s, points_schema=POINTS, is_for_points=is_for_points)
