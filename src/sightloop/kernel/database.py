"""The workspace's database: short write transactions, readers that never wait.

Tables are declared by the room that owns them, on the one `metadata` below; wiring imports the
rooms, so that `create` knows all tables. SQLite is used in WAL mode. A write transaction takes
the write lock when it begins (`BEGIN IMMEDIATE`), so it can never fail halfway for a reader's
sake.

Metric points come in by the thousand and must not queue behind records, nor records behind them.
Embedded, tables of the schema `POINTS` therefore lie in a file of their own, `Database.points`,
with its own write lock; readers see both files in one view. In PostgreSQL all are one database.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import DatabaseError, OperationalError

from sightloop.kernel.errors import (
    BadInput,
    Damaged,
    DiskFull,
    NotFound,
    SightloopError,
    Unavailable,
)

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 20.0
_SQLITE_FILE = "sqlite:///"
_PAGES_AT_ONCE = 10_000
"""40 MB of pages are given back per transaction, which takes a tenth of a second."""

POINTS = "points"
"""The schema of tables that embedded databases keep in a file of their own."""

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


class WorkspaceTooNew(BadInput):
    """The workspace was written by a later Sightloop, whose meaning this one cannot know."""

    code = "SL-120"

    def __init__(self, *, found: int, known: int, url: str) -> None:
        super().__init__(
            f"the workspace database {url} has schema version {found}, this Sightloop knows "
            f"{known}; install the newer Sightloop - nothing was changed",
            found=found,
            known=known,
            url=url,
        )


class NotAWorkspaceDatabase(BadInput):
    """The file or database exists but Sightloop did not make it."""

    code = "SL-121"

    def __init__(self, *, url: str) -> None:
        super().__init__(
            f"{url} is not a Sightloop database; check [database] url in sightloop.toml",
            url=url,
        )


class DatabaseBusy(Unavailable):
    """Another process kept the write lock for longer than the time-out."""

    code = "SL-520"

    def __init__(self, *, url: str, timeout_s: float) -> None:
        super().__init__(
            f"another process has been writing to {url} for more than {timeout_s:g} s; "
            "retry, or find it with `sightloop doctor`",
            url=url,
            timeout_s=timeout_s,
        )


class DatabaseDamaged(Damaged):
    """The database file is corrupt."""

    code = "SL-620"

    def __init__(self, *, url: str, detail: str) -> None:
        super().__init__(
            f"the database {url} is damaged ({detail}); stop Sightloop and restore a backup",
            url=url,
            detail=detail,
        )


class Database:
    """One database, shared by any number of threads and processes."""

    def __init__(self, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.url = url
        self._busy_timeout_s = busy_timeout_s
        side = _points_path(url)
        self._engine = _open_engine(url, busy_timeout_s)
        self._reading = _open_engine(url, busy_timeout_s, attach=side) if side else self._engine
        # SQLite lets waiting writers starve one another; a queue per process costs nothing.
        self._writers = threading.Lock()
        self._together = threading.Lock()
        self._waiting: deque[_Waiting[Any]] = deque()
        self.points = (
            self if side is None else Database(sqlite_url(side), busy_timeout_s=busy_timeout_s)
        )
        """Where the tables of the schema `POINTS` are written."""

    def create(self) -> None:
        """Make the tables of a new workspace; a second call changes nothing."""
        if self.points is not self:
            with self.points.write() as tx:
                metadata.create_all(tx, tables=_tables_of(POINTS))
        with self.write() as tx:
            both = self.points is self
            metadata.create_all(tx, tables=_tables_of(None) + (_tables_of(POINTS) if both else []))
            if tx.execute(select(_schema.c.version)).first() is None:
                tx.execute(insert(_schema).values(name="sightloop", version=SCHEMA_VERSION))

    def check(self) -> None:
        """Refuse a database that this version must not touch.

        Raises:
            NotFound: nothing was created there yet.
            NotAWorkspaceDatabase: it belongs to something else.
            WorkspaceTooNew: a later Sightloop wrote it.
        """
        with self._translated(), self._engine.connect() as connection:
            tables = inspect(connection).get_table_names()
            if not tables:
                raise NotFound(what="database", name=self.url, hint="run `sightloop init` first")
            if _schema.name not in tables:
                raise NotAWorkspaceDatabase(url=self.url)
            found = connection.execute(select(_schema.c.version)).scalar_one()
        if found > SCHEMA_VERSION:
            raise WorkspaceTooNew(found=found, known=SCHEMA_VERSION, url=self.url)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A consistent view of the database; never waits for a writer."""
        with self._translated(), self._reading.connect() as connection, connection.begin():
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
        with self._translated(), self._writers, self._engine.connect() as plain:
            connection = plain.execution_options(sightloop_write=True)
            with connection.begin():
                yield connection

    def size_bytes(self) -> int:
        """What the database takes on disk, its log included; 0 where it is not a local file."""
        return sum(path.stat().st_blocks * 512 for path in self._files() if path.exists())

    def give_back_space(self) -> None:
        """Return pages that nothing needs any more to the file system.

        Moves pages from the end of the file into the gaps, some at a time, and empties the log.
        Where the database is no SQLite file, its own server does that.

        Raises:
            DatabaseBusy: another process kept the write lock for too long; repeat it later.
        """
        if not self._files():
            return
        with self._translated(), self._writers, self._driver() as driver:
            while _number(driver, "freelist_count") > 0:
                before = _number(driver, "freelist_count")
                # A script is stepped to its end; a plain execute would free a single page.
                driver.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
                if _number(driver, "freelist_count") >= before:
                    break
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def forget_deleted(self) -> bool:
        """Write the database anew, so that no byte of what was deleted is left in its files.

        False when a reader kept the log from being emptied; call again later. Takes about 3 s and
        the room of a second copy per gigabyte.

        Raises:
            DatabaseBusy: another process kept the write lock for too long.
            DiskFull: no room for the copy.
        """
        if not self._files():
            return True
        with self._translated(), self._writers, self._driver() as driver:
            driver.execute("PRAGMA temp_store = FILE")  # not a gigabyte of memory
            try:
                driver.execute("VACUUM")
            finally:
                driver.execute("PRAGMA temp_store = MEMORY")
            busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

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
        self._engine.dispose()
        self._reading.dispose()
        if self.points is not self:
            self.points.close()

    def _write_waiting(self) -> None:
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            with self.write() as tx:
                for one in taken:
                    one.run(tx)
        except BaseException as error:
            for one in taken:
                one.fail(error)
            raise
        for one in taken:
            one.is_done = True

    def _files(self) -> list[Path]:
        path = self.url.removeprefix(_SQLITE_FILE)
        is_file = self.url.startswith(_SQLITE_FILE) and path not in ("", ":memory:")
        return [Path(f"{path}{end}") for end in ("", "-wal", "-shm")] if is_file else []

    @contextmanager
    def _driver(self) -> Iterator[sqlite3.Connection]:
        """A connection without a transaction, for statements that cannot be in one."""
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection), "asked for only where it is SQLite"
            yield driver

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:  # from `_driver`, which SQLAlchemy does not see
            with self._translated():
                raise OperationalError(None, None, error) from error
        except OperationalError as error:
            text = str(error.orig)
            if "locked" in text or "busy" in text:
                raise DatabaseBusy(url=self.url, timeout_s=self._busy_timeout_s) from error
            if "full" in text:
                raise DiskFull(path=self.url) from error
            raise
        except OverflowError as error:
            if "SQLite INTEGER" in str(error):
                raise NumberTooLarge from error
            raise
        except DatabaseError as error:
            text = str(error.orig)
            if "malformed" in text:
                raise DatabaseDamaged(url=self.url, detail=text) from error
            if "not a database" in text:
                raise NotAWorkspaceDatabase(url=self.url) from error
            raise


class NumberTooLarge(BadInput):
    """A whole number that no column can hold; nothing was changed."""

    code = "SL-122"

    def __init__(self) -> None:
        super().__init__("a number is beyond 9,223,372,036,854,775,807; give a smaller one")


class _Waiting(Generic[_T]):
    """A change that waits for a transaction, and what came of it."""

    def __init__(self, change: Callable[[Tx], _T]) -> None:
        self._change = change
        self._value: _T | None = None
        self._error: BaseException | None = None
        self.is_done = False

    def run(self, tx: Tx) -> None:
        """Make the change; a refusal undoes this one alone."""
        try:
            with tx.begin_nested():
                self._value = self._change(tx)
        except SightloopError as error:
            self._error = error

    def fail(self, error: BaseException) -> None:
        """None of the transaction came about."""
        self._error, self.is_done = error, True

    def outcome(self) -> _T:
        if self._error is not None:
            raise self._error
        return cast("_T", self._value)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite database in this file."""
    return f"{_SQLITE_FILE}{path}"


def _number(driver: sqlite3.Connection, pragma: str) -> int:
    return int(driver.execute(f"PRAGMA {pragma}").fetchone()[0])


_DB, _POINTS_DB = ".db", ".points.db"


def _points_path(url: str) -> Path | None:
    """The file for points beside that of the database; None where they share one."""
    if not url.startswith(_SQLITE_FILE) or url.endswith(_POINTS_DB):
        return None
    path = Path(url.removeprefix(_SQLITE_FILE))
    return path.with_name(path.name.removesuffix(_DB) + _POINTS_DB)


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


def _open_engine(url: str, busy_timeout_s: float, *, attach: Path | None = None) -> Engine:
    """An engine; where no file of points is attached, their tables lie among all others."""
    if not url.startswith("sqlite:"):
        engine = create_engine(url, pool_pre_ping=True)
    else:
        engine = create_engine(
            url, connect_args={"timeout": busy_timeout_s, "check_same_thread": False}
        )
        event.listen(engine, "connect", _configure_sqlite)
        if attach is not None:
            event.listen(engine, "connect", partial(_attach_points, path=attach))
        event.listen(engine, "begin", _begin_sqlite)
    if attach is None:
        return engine.execution_options(schema_translate_map={POINTS: None})
    return engine


def _attach_points(connection: sqlite3.Connection, _record: object, *, path: Path) -> None:
    connection.execute(f"ATTACH DATABASE ? AS {POINTS}", (str(path),))


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    _, _, path = connection.execute("PRAGMA database_list").fetchone()
    is_points = path.endswith(_POINTS_DB)
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    if _number(connection, "page_count") == 0:
        # Possible only before the first page is written. Pages that become free can then be given
        # back without writing all others anew; inserting 200,000 rows takes as long as without.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for pragma in (
        "journal_mode = WAL",
        # FULL: a committed record survives a power cut. NORMAL may lose the last moment's points
        # then (never the file), and costs no flush for each of them.
        f"synchronous = {'NORMAL' if is_points else 'FULL'}",
        "foreign_keys = ON",
        "cache_size = -16000",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    is_write = connection.get_execution_options().get("sightloop_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")
