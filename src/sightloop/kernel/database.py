"""The workspace's database: short write transactions, readers that never wait.

Tables are declared by the room that owns them, on the one `metadata` below; wiring imports the
rooms, so that `create` knows all tables. SQLite is used in WAL mode. A write transaction takes
the write lock when it begins (`BEGIN IMMEDIATE`), so it can never fail halfway for a reader's
sake.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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

from sightloop.kernel.errors import BadInput, Damaged, DiskFull, NotFound, Unavailable

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 20.0
_SQLITE_FILE = "sqlite:///"
_PAGES_AT_ONCE = 10_000
"""40 MB of pages are given back per transaction, which takes a tenth of a second."""

metadata = MetaData()
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
        self._engine = _open_engine(url, busy_timeout_s)
        # SQLite lets waiting writers starve one another; a queue per process costs nothing.
        self._writers = threading.Lock()

    def create(self) -> None:
        """Make the tables of a new workspace; a second call changes nothing."""
        with self.write() as tx:
            metadata.create_all(tx)
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
        with self._translated(), self._engine.connect() as connection, connection.begin():
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

    def close(self) -> None:
        """Close every connection; the object cannot be used afterwards."""
        self._engine.dispose()

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


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite database in this file."""
    return f"{_SQLITE_FILE}{path}"


def _number(driver: sqlite3.Connection, pragma: str) -> int:
    return int(driver.execute(f"PRAGMA {pragma}").fetchone()[0])


def _open_engine(url: str, busy_timeout_s: float) -> Engine:
    if not url.startswith("sqlite:"):
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(
        url, connect_args={"timeout": busy_timeout_s, "check_same_thread": False}
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    if _number(connection, "page_count") == 0:
        # Possible only before the first page is written. Pages that become free can then be given
        # back without writing all others anew; inserting 200,000 rows takes as long as without.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for pragma in (
        "journal_mode = WAL",
        # FULL: a committed record survives a power cut; NORMAL would lose the last ones.
        "synchronous = FULL",
        "foreign_keys = ON",
        "cache_size = -16000",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    is_write = connection.get_execution_options().get("sightloop_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")
