"""A workspace's database in SQLite files: one for records, one for points, in WAL mode.

A write transaction takes the write lock when it begins (`BEGIN IMMEDIATE`), so it can never fail
halfway for a reader's sake. Readers see both files in one view.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from sightloop.kernel.database_errors import (
    DatabaseBusy,
    DatabaseDamaged,
    NotAWorkspaceDatabase,
    NumberTooLarge,
)
from sightloop.kernel.errors import DiskFull, SightloopError

SCHEME = "sqlite:"
_FILE = "sqlite:///"
_DB, _POINTS_DB = ".db", ".points.db"
_PAGES_AT_ONCE = 10_000
"""40 MB of pages are given back per transaction, which takes a tenth of a second."""


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite database in this file."""
    return f"{_FILE}{path}"


class SqliteFiles:
    """The connections to one file, and to those beside it.

    Args:
        url: of the file.
        busy_timeout_s: how long a writer waits for the write lock.
        points_schema: what the file of points is called in statements.
    """

    def __init__(self, url: str, busy_timeout_s: float, *, points_schema: str) -> None:
        self.shown_url = url
        self._busy_timeout_s = busy_timeout_s
        side = _points_path(url)
        self.points_url = "" if side is None else sqlite_url(side)
        """Where points are written; empty where they lie among the records."""
        plain = {points_schema: None}
        self.writing: Engine = _open_engine(url, busy_timeout_s).execution_options(
            schema_translate_map=plain
        )
        self.reading: Engine = self.writing
        if side is not None:
            self.reading = _open_engine(url, busy_timeout_s)
            event.listen(self.reading, "connect", partial(_attach, path=side, schema=points_schema))

    def prepare(self, tx: Connection) -> None:
        """Nothing: every SQLite file will do."""

    def size_bytes(self) -> int:
        """What the files take on disk, the log included."""
        return sum(path.stat().st_blocks * 512 for path in self._files() if path.exists())

    def give_back_space(self) -> None:
        """Move pages from the end of the file into the gaps, and empty the log."""
        with self._driver() as driver:
            while _number(driver, "freelist_count") > 0:
                before = _number(driver, "freelist_count")
                # A script is stepped to its end; a plain execute would free a single page.
                driver.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
                if _number(driver, "freelist_count") >= before:
                    break
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def forget_deleted(self) -> bool:
        """Write the file anew; False when a reader kept the log from being emptied."""
        with self._driver() as driver:
            driver.execute("PRAGMA temp_store = FILE")  # not a gigabyte of memory
            try:
                driver.execute("VACUUM")
            finally:
                driver.execute("PRAGMA temp_store = MEMORY")
            busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def told(self, error: Exception) -> SightloopError | None:
        """What the driver's error means; None when nobody but a programmer can do anything."""
        if isinstance(error, OverflowError):
            return NumberTooLarge() if "SQLite INTEGER" in str(error) else None
        # From `_driver`, which SQLAlchemy does not see, or through SQLAlchemy.
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, sqlite3.DatabaseError):
            return None
        return self._told(cause, str(cause))

    def close(self) -> None:
        """Close every connection."""
        self.writing.dispose()
        self.reading.dispose()

    def _told(self, cause: sqlite3.DatabaseError, text: str) -> SightloopError | None:
        if isinstance(cause, sqlite3.OperationalError):
            if "locked" in text or "busy" in text:
                return DatabaseBusy(url=self.shown_url, timeout_s=self._busy_timeout_s)
            if "not decode to UTF-8" in text:  # every text was UTF-8 when it was written
                return DatabaseDamaged(url=self.shown_url, detail=text)
            return DiskFull(path=self.shown_url) if "full" in text else None
        if "malformed" in text:
            return DatabaseDamaged(url=self.shown_url, detail=text)
        if "not a database" in text:
            return NotAWorkspaceDatabase(url=self.shown_url)
        return None

    def _files(self) -> list[Path]:
        path = self.shown_url.removeprefix(_FILE)
        is_file = self.shown_url.startswith(_FILE) and path not in ("", ":memory:")
        return [Path(f"{path}{end}") for end in ("", "-wal", "-shm")] if is_file else []

    @contextmanager
    def _driver(self) -> Iterator[sqlite3.Connection]:
        """A connection without a transaction, for statements that cannot be in one."""
        with self.writing.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection), "this is SQLite"
            yield driver


def _points_path(url: str) -> Path | None:
    """The file for points beside that of the database; None where they share one."""
    if not url.startswith(_FILE) or url.endswith(_POINTS_DB):
        return None
    path = Path(url.removeprefix(_FILE))
    return path.with_name(path.name.removesuffix(_DB) + _POINTS_DB)


def _number(driver: sqlite3.Connection, pragma: str) -> int:
    return int(driver.execute(f"PRAGMA {pragma}").fetchone()[0])


def _open_engine(url: str, busy_timeout_s: float) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": busy_timeout_s, "check_same_thread": False}
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _attach(connection: sqlite3.Connection, _record: object, *, path: Path, schema: str) -> None:
    connection.execute(f"ATTACH DATABASE ? AS {schema}", (str(path),))


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    _, _, path = connection.execute("PRAGMA database_list").fetchone()
    is_points = path.endswith(_POINTS_DB)
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin
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


def _begin(connection: Connection) -> None:
    is_write = connection.get_execution_options().get("sightloop_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")
