"""A workspace's database on a PostgreSQL server, with the meaning that SQLite gives it.

**Records have one writer at a time.** Services read, decide and insert within one transaction and
rely on nobody else doing so meanwhile. A write transaction therefore begins by taking an advisory
lock that every process on this database shares; the server gives it back when the transaction ends
or its connection breaks. Its statements run under READ COMMITTED: a snapshot of the whole
transaction would be as old as the moment the waiting began, not as the moment it ended.

**Points take no lock.** They are only ever added, each by one statement that decides for its row
alone whether it is new (`ON CONFLICT`), and nothing is read before. A lock would make servers that
stand side by side wait for one another's disks, and a trainer's live curve for an import of
millions. What remains is that two transactions wait for each other's rows crosswise; the server
then undoes one of them, and `Database.write_together` repeats it.

**Readers see one moment.** REPEATABLE READ and READ ONLY: they neither wait nor are waited for.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Column, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGTypeCompiler
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from sightloop.kernel.database_errors import (
    DatabaseAway,
    DatabaseBusy,
    DatabaseDamaged,
    NumberTooLarge,
    UnfitDatabase,
    UnfitText,
    WritersCollided,
)
from sightloop.kernel.errors import DiskFull, SightloopError

SCHEMES = ("postgresql:", "postgres:", "postgresql+psycopg:")

_RECORDS_LOCK = 0x5369_6768_746C_6F6F  # "Sightloo" as a number: nobody else's advisory lock
_POOL = {"pool_size": 5, "max_overflow": 35, "pool_pre_ping": True, "pool_use_lifo": True}
"""A server answers in 40 threads; a connection that a restart broke is replaced unnoticed."""

_LOCK_NOT_FREE = "55P03"

_CONNECTION = {
    "application_name": "sightloop",
    "connect_timeout": "10",
    # A server that vanished without a word is found out within a minute, not within two hours.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_FROM_THE_SERVER = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10;"
"""And so is a writer that lost its power while it held the lock."""


class PostgresDatabase:
    """The connections to one PostgreSQL database.

    Args:
        url: `postgresql://user:password@host/name?option=value`; options are libpq's.
        busy_timeout_s: how long a statement waits for a lock, and a thread for a connection.
        points_schema: the schema that tables of points are declared in.
        is_for_points: write points, not records.

    Raises:
        UnfitDatabase: the address cannot be read, or the driver is not installed.
    """

    def __init__(
        self, url: str, busy_timeout_s: float, *, points_schema: str, is_for_points: bool
    ) -> None:
        address = _address(url)
        self.shown_url = _without_secrets(address)
        self.points_url = "" if is_for_points else url
        """Where points are written: here, on connections of their own that take no lock."""
        self._busy_timeout_s = busy_timeout_s
        engine = _open_engine(address, self.shown_url, busy_timeout_s, is_for_points=is_for_points)
        self.writing = engine.execution_options(schema_translate_map={points_schema: None})
        self.reading = self.writing.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._vacuum = engine.execution_options(isolation_level="AUTOCOMMIT")

    def prepare(self, tx: Connection) -> None:
        """Refuse a database that could not hold every text.

        Raises:
            UnfitDatabase: it does not store Unicode.
        """
        encoding = tx.execute(text("SHOW server_encoding")).scalar_one()
        if encoding != "UTF8":
            problem = f"its encoding is {encoding}; make one with ENCODING 'UTF8'"
            raise UnfitDatabase(url=self.shown_url, problem=problem)

    def size_bytes(self) -> int:
        """0: nothing of it lies on a disk of ours."""
        return 0

    def give_back_space(self) -> None:
        """Nothing: the server's own autovacuum does that."""

    def forget_deleted(self) -> bool:
        """Write every table anew; False when a reader kept one of them.

        What the server's log and backups keep is the business of whoever runs it.
        """
        with self._vacuum.connect() as connection:
            quote = connection.dialect.identifier_preparer.quote
            try:
                for table in inspect(connection).get_table_names():
                    connection.execute(text(f"VACUUM (FULL) {quote(table)}"))
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_FREE:
                    raise
                return False
        return True

    def told(self, error: Exception) -> SightloopError | None:
        """What the driver's error means; None when nobody but a programmer can do anything."""
        if isinstance(error, NoConnectionFree):
            return DatabaseBusy(url=self.shown_url, timeout_s=self._busy_timeout_s)
        if not isinstance(error, DBAPIError):
            return None
        detail = str(error.orig).strip().partition("\n")[0]
        state = getattr(error.orig, "sqlstate", None)
        if state is None:  # said by the driver, not by the server
            if "NUL" in detail:
                return UnfitText(problem="a text has a character of code 0, which PostgreSQL lacks")
            is_away = type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")
            return DatabaseAway(url=self.shown_url, detail=detail) if is_away else None
        return self._told(state, detail)

    def close(self) -> None:
        """Close every connection."""
        self.writing.dispose()

    def _told(self, state: str, detail: str) -> SightloopError | None:
        """Source: PostgreSQL's documentation, appendix A, error codes."""
        match state:
            case _ if state == _LOCK_NOT_FREE:
                return DatabaseBusy(url=self.shown_url, timeout_s=self._busy_timeout_s)
            case "40001" | "40P01":
                return WritersCollided(url=self.shown_url)
            case "53100":
                return DiskFull(path=self.shown_url)
            case "22003":
                return NumberTooLarge()
            case "22021" | "22P05" | "54000":
                return UnfitText(problem=f"the database cannot store a text ({detail})")
            case "42501":
                return UnfitDatabase(url=self.shown_url, problem=detail)
            case "XX001" | "XX002":
                return DatabaseDamaged(url=self.shown_url, detail=detail)
        # No connection, no resources, stopped by an operator, failing machine, a stand-by.
        if state[:2] in ("08", "28", "3D", "53", "57", "58") or state == "25006":
            return DatabaseAway(url=self.shown_url, detail=detail)
        return None


class _Types(PGTypeCompiler):
    """Types of columns that mean here what they mean in SQLite."""

    def visit_INTEGER(self, type_: object, **kw: Any) -> str:  # noqa: ANN401, N802, ARG002
        return "BIGINT"

    def visit_TEXT(self, type_: Any, **kw: Any) -> str:  # noqa: ANN401, N802
        is_column = isinstance(kw.get("type_expression"), Column)
        # By code points. A page is continued after the last name of the page before, so the order
        # must be the same on every server, and must tell all names apart.
        return 'TEXT COLLATE "C"' if is_column else super().visit_TEXT(type_, **kw)


class Dialect(PGDialect_psycopg):
    """PostgreSQL through psycopg, with columns as in SQLite."""

    supports_statement_cache = True
    type_compiler_cls = _Types


registry.register("postgresql.sightloop", __name__, Dialect.__name__)


def _address(url: str) -> URL:
    try:
        return make_url(url).set(drivername="postgresql+sightloop")
    except (ArgumentError, ValueError) as error:
        raise UnfitDatabase(url="[database] url", problem="its address cannot be read") from error


def _without_secrets(address: URL) -> str:
    """The address as anybody may see it: options may hold a password too."""
    shown = URL.create(
        "postgresql", host=address.host, port=address.port, database=address.database
    )
    return shown.render_as_string()


def _open_engine(
    address: URL, shown_url: str, busy_timeout_s: float, *, is_for_points: bool
) -> Engine:
    ours: dict[str, Any] = {
        name: value for name, value in _CONNECTION.items() if name not in address.query
    }
    try:
        engine = create_engine(address, connect_args=ours, pool_timeout=busy_timeout_s, **_POOL)
    except ImportError as error:
        problem = "the driver for PostgreSQL is not installed; pip install 'sightloop[postgresql]'"
        raise UnfitDatabase(url=shown_url, problem=problem) from error
    settings = f"{_FROM_THE_SERVER} SET lock_timeout = {max(1, round(busy_timeout_s * 1000))};"
    if is_for_points:
        # As in SQLite: a power cut may take the last moment's points, and no point costs a flush.
        settings += "SET synchronous_commit = off;"

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - psycopg's
        connection.execute(settings)
        connection.commit()

    if not is_for_points:
        event.listen(engine, "begin", _take_turns)
    return engine


def _take_turns(connection: Connection) -> None:
    if connection.get_execution_options().get("sightloop_write", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_RECORDS_LOCK})")
