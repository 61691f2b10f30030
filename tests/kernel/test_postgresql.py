"""What only a database server can do to a workspace, against a real one."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import text

from sightloop.kernel.config import load_config
from sightloop.kernel.database import (
    Database,
    DatabaseAway,
    DatabaseBusy,
    NotAWorkspaceDatabase,
    Tx,
    UnfitDatabase,
    UnfitText,
    WritersCollided,
)
from sightloop.kernel.errors import NotFound
from sightloop.testing import postgresql
from sightloop.testing.workspaces import place_database
from sightloop.wiring import create_workspace, open_workspace


@pytest.fixture
def url() -> str:
    return postgresql.server().empty()


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    with closing(Database(url, busy_timeout_s=5)) as opened:
        with opened.points.write() as tx:
            tx.execute(text("CREATE TABLE notes (n BIGINT PRIMARY KEY, said TEXT)"))
        yield opened


def say(tx: Tx, n: int, said: str = "") -> None:
    tx.execute(text("INSERT INTO notes VALUES (:n, :said)"), {"n": n, "said": said})


def raise_note(tx: Tx, n: int) -> None:
    tx.execute(text("UPDATE notes SET said = said || 'x' WHERE n = :n"), {"n": n})


def notes(db: Database) -> dict[int, str]:
    with db.read() as tx:
        return {row.n: row.said for row in tx.execute(text("SELECT n, said FROM notes"))}


def break_connections(url: str) -> None:
    """As when the server is started again."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_whole_workspace_lies_on_the_server(tmp_path: Path):
    place_database(tmp_path, postgresql.server().empty())
    with closing(create_workspace(tmp_path, {}).db):
        pass
    with closing(open_workspace(tmp_path, {}).db) as opened:
        assert opened.url == load_config(tmp_path, {}).database.url
    assert not list(tmp_path.glob(".sightloop/*.db"))


def test_text_is_compared_by_code_points_and_numbers_have_64_bits_in_every_table():
    with psycopg.connect(postgresql.server().furnished()) as connection:
        odd = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND (data_type = 'text' AND collation_name <> 'C' "
            "OR data_type = 'integer' AND column_default IS NULL)"
        ).fetchall()
    assert odd == []


def test_a_database_without_tables_is_not_a_workspace(url: str):
    expected = pytest.raises(NotFound, match="run `sightloop init` first")
    with closing(Database(url)) as empty, expected:
        empty.check()


def test_a_database_of_something_else_is_refused(db: Database):
    with pytest.raises(NotAWorkspaceDatabase, match="not a Sightloop database"):
        db.check()


@pytest.mark.parametrize("lines", ["?host=/nowhere", "&connect_timeout=1&host=/nowhere"])
def test_a_server_that_is_away_is_named_without_the_password(lines: str):
    lines = lines if lines.startswith("?") else "?sslmode=disable" + lines
    away = Database(f"postgresql://anna:s3cret@db.plant/parts{lines}")
    with pytest.raises(DatabaseAway, match="does not answer") as caught:
        away.check()
    assert caught.value.code == "SL-522"
    assert caught.value.facts["url"] == "postgresql://db.plant/parts"
    assert "s3cret" not in caught.value.message
    away.close()


def test_a_restart_of_the_server_ends_what_was_under_way_and_nothing_else(db: Database):
    with pytest.raises(DatabaseAway), db.write() as tx:
        say(tx, 1)
        break_connections(db.url)
        say(tx, 2)
    with db.write() as tx:
        say(tx, 3)
    assert notes(db) == {3: ""}


def test_a_writer_whose_connection_breaks_gives_the_lock_back(db: Database):
    other = Database(db.url, busy_timeout_s=0.2)
    with pytest.raises(DatabaseAway), db.write() as tx:
        with pytest.raises(DatabaseBusy), other.write():
            pass
        break_connections(db.url)
        with other.write() as late:
            say(late, 1)
        say(tx, 2)
    other.close()
    assert notes(db) == {1: ""}


def test_a_character_of_code_0_is_refused_and_the_change_beside_it_is_made(db: Database):
    changes = [lambda tx: say(tx, 1, "a\0b"), lambda tx: say(tx, 2, "b")]
    outcomes = together(db, changes)
    assert isinstance(outcomes[0], UnfitText)
    assert "a character of code 0" in outcomes[0].message
    assert outcomes[1] is None
    assert notes(db) == {2: "b"}


def test_points_that_are_locked_crosswise_are_written_all_the_same(db: Database):
    with db.write() as tx:
        say(tx, 1)
        say(tx, 2)
    with closing(Database(db.url)) as other:
        met = threading.Barrier(2, timeout=5)

        def crosswise(mine: Database, first: int, second: int) -> None:
            is_first_time = iter([True])

            def one(tx: Tx) -> None:
                raise_note(tx, first)
                if next(is_first_time, False):
                    met.wait()

            # In one transaction; in those of their own they wait for nobody.
            assert together(mine, [one, lambda tx: raise_note(tx, second)]) == [None, None]

        threads = [
            threading.Thread(target=crosswise, args=(db.points, 1, 2)),
            threading.Thread(target=crosswise, args=(other.points, 2, 1)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert notes(db) == {1: "xx", 2: "xx"}


def test_writers_of_records_cannot_collide_but_strangers_can(db: Database):
    with db.write() as tx:
        say(tx, 1)
        say(tx, 2)
    with psycopg.connect(db.url) as stranger:
        stranger.execute("UPDATE notes SET said = 'theirs' WHERE n = 2")
        met = threading.Event()

        def cross() -> None:
            met.wait(5)
            stranger.execute("SET deadlock_timeout = '10s'")  # so that we are the one undone
            stranger.execute("UPDATE notes SET said = 'theirs' WHERE n = 1")

        thread = threading.Thread(target=cross)
        thread.start()
        expected = pytest.raises(WritersCollided, match="nothing was written, retry")
        with expected, db.write() as tx:
            raise_note(tx, 1)
            met.set()
            raise_note(tx, 2)
        thread.join(20)


def test_a_user_who_may_not_make_tables_is_told_so(url: str):
    postgresql.server().run(SQL("CREATE ROLE guest LOGIN"))
    expected = pytest.raises(UnfitDatabase, match="permission denied for schema public")
    with closing(Database(url.replace("postgres@", "guest@"))) as guest, expected:
        guest.create()


def test_a_database_that_holds_no_unicode_is_refused():
    server = postgresql.server()
    name = f"old_{os.getpid()}"
    server.run(
        SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1'").format(Identifier(name))
    )
    expected = pytest.raises(UnfitDatabase, match="its encoding is LATIN1")
    with closing(Database(server.url(name))) as old, expected:
        old.create()


def test_without_the_driver_the_extra_is_named():
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from sightloop.kernel.database import Database\n"
        "from sightloop.kernel.errors import SightloopError\n"
        "try: Database('postgresql://anna:s3cret@db/parts')\n"
        "except SightloopError as error: print(error.code, error.message)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.stdout == (
        "SL-124 the database postgresql://db/parts cannot be used: the driver for PostgreSQL is "
        "not installed; pip install 'sightloop[postgresql]'; see docs/postgresql.md\n"
    )


@pytest.mark.parametrize("address", ["postgresql://[::1", "postgresql://host:port/x"])
def test_an_address_that_cannot_be_read_is_refused(address: str):
    with pytest.raises(UnfitDatabase, match="its address cannot be read"):
        Database(address)


def test_the_disk_of_a_server_is_not_ours_to_measure_or_tidy(db: Database):
    assert db.size_bytes() == 0
    db.give_back_space()


def test_what_was_deleted_is_no_longer_in_the_files_of_its_table(db: Database):
    with db.write() as tx:
        say(tx, 1, "jane-doe")
        path = tx.execute(text("SELECT pg_relation_filepath('notes')")).scalar_one()
    with db.write() as tx:
        tx.execute(text("DELETE FROM notes"))
    with psycopg.connect(db.url) as connection:
        connection.execute("CHECKPOINT")
    assert b"jane-doe" in (postgresql.server().folder / "data" / path).read_bytes()
    assert db.forget_deleted()
    with db.read() as tx:
        path = tx.execute(text("SELECT pg_relation_filepath('notes')")).scalar_one()
    assert b"jane-doe" not in (postgresql.server().folder / "data" / path).read_bytes()


def test_a_reader_that_keeps_a_table_is_told_of(db: Database):
    with closing(Database(db.url, busy_timeout_s=0.05)) as quick:
        with db.read() as tx:
            tx.execute(text("SELECT n FROM notes"))
            assert not quick.forget_deleted()
        assert quick.forget_deleted()


def together(db: Database, changes: list[Callable[[Tx], None]]) -> list[BaseException | None]:
    """Make the changes in one transaction, as those of threads that waited; what each raised."""
    with ThreadPoolExecutor(len(changes)) as pool:
        with db._together:
            tasks = []
            for change in changes:
                tasks.append(pool.submit(db.write_together, change))
                while len(db._waiting) < len(tasks):
                    pass
        return [task.exception() for task in tasks]
