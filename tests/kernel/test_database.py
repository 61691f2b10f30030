import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, insert, select, text

from sightloop.kernel.database import (
    POINTS,
    Database,
    DatabaseBusy,
    DatabaseDamaged,
    NotAWorkspaceDatabase,
    NumberTooLarge,
    Tx,
    UnfitDatabase,
    WorkspaceTooNew,
    sqlite_url,
)
from sightloop.kernel.errors import DiskFull, NotFound
from sightloop.testing import postgresql


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sightloop.db"


both_databases = pytest.mark.both_databases


@pytest.fixture
def url(database_kind: str, path: Path) -> str:
    return postgresql.server().empty() if database_kind == "postgresql" else sqlite_url(path)


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    database = Database(url)
    database.create()
    with database.write() as tx:
        tx.execute(text("CREATE TABLE notes (n BIGINT, said TEXT)"))
    yield database
    database.close()


def count(database: Database) -> int:
    with database.read() as tx:
        return tx.execute(text("SELECT COUNT(*) FROM notes")).scalar_one()


def note(n: int, tx: Tx) -> int:
    tx.execute(text("INSERT INTO notes (n) VALUES (:n)"), {"n": n})
    return n


@both_databases
def test_a_transaction_that_raises_leaves_nothing(db: Database):
    with pytest.raises(ValueError, match="stop"), db.write() as tx:
        tx.execute(text("INSERT INTO notes (n) VALUES (1)"))
        raise ValueError("stop")
    assert count(db) == 0


@both_databases
def test_a_reader_is_not_blocked_by_a_writer_and_sees_the_state_before_it(db: Database):
    with db.write() as tx:
        tx.execute(text("INSERT INTO notes (n) VALUES (1)"))
        assert count(db) == 0
    assert count(db) == 1


@both_databases
def test_a_reader_sees_one_state_however_long_it_reads(db: Database):
    with db.read() as tx:
        assert tx.execute(text("SELECT COUNT(*) FROM notes")).scalar_one() == 0
        with db.write() as other:
            other.execute(text("INSERT INTO notes (n) VALUES (1)"))
        assert tx.execute(text("SELECT COUNT(*) FROM notes")).scalar_one() == 0


@both_databases
def test_a_writer_that_cannot_get_the_lock_says_so(db: Database):
    impatient = Database(db.url, busy_timeout_s=0.05)
    expected = pytest.raises(DatabaseBusy, match="another process has been writing")
    with db.write(), expected, impatient.write():
        pass
    impatient.close()


@both_databases
def test_a_writer_reads_what_whoever_it_waited_for_has_written(db: Database):
    """Each reads the highest number and writes the next: nobody may read an old one."""

    def write() -> None:
        other = Database(db.url)
        for _ in range(10):
            with other.write() as tx:
                highest = tx.execute(text("SELECT COALESCE(MAX(n), 0) FROM notes")).scalar_one()
                note(highest + 1, tx)
        other.close()

    with ThreadPoolExecutor(4) as pool:
        for task in [pool.submit(write) for _ in range(4)]:
            task.result()
    with db.read() as tx:
        numbers = tx.scalars(text("SELECT n FROM notes ORDER BY n")).all()
    assert list(numbers) == list(range(1, 41))


@both_databases
def test_a_writer_of_points_waits_for_none_of_records_and_minds_the_time_out(db: Database):
    impatient = Database(db.url, busy_timeout_s=0.05)
    with db.write(), impatient.points.write() as tx:
        tx.execute(text("SELECT 1"))
    impatient.close()


def test_the_time_out_of_points_is_that_of_the_database(tmp_path: Path):
    first, impatient = (
        Database(sqlite_url(tmp_path / "one.db"), busy_timeout_s=s) for s in (1.0, 0.05)
    )
    expected = pytest.raises(DatabaseBusy, match=r"more than 0\.05 s")
    with first.points.write(), expected, impatient.points.write():
        pass
    first.close()
    impatient.close()


@both_databases
def test_writers_of_one_process_wait_for_each_other(db: Database):
    def write() -> None:
        for _ in range(20):
            with db.write() as tx:
                tx.execute(text("INSERT INTO notes (n) VALUES (1)"))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(db) == 80


@both_databases
def test_creating_twice_changes_nothing(db: Database):
    db.create()
    db.check()


@both_databases
def test_a_workspace_of_a_later_version_is_refused_untouched(db: Database):
    with db.write() as tx:
        tx.execute(text("UPDATE schema_info SET version = 99"))
    with pytest.raises(WorkspaceTooNew, match="has schema version 99") as caught:
        db.check()
    assert caught.value.facts["found"] == 99


def test_an_empty_database_is_not_a_workspace(tmp_path: Path):
    empty = Database(sqlite_url(tmp_path / "empty.db"))
    with pytest.raises(NotFound, match="run `sightloop init` first"):
        empty.check()
    empty.close()


def test_a_database_of_something_else_is_refused(tmp_path: Path):
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE theirs (n INTEGER)")
    connection.commit()
    connection.close()
    other = Database(sqlite_url(tmp_path / "other.db"))
    with pytest.raises(NotAWorkspaceDatabase, match="not a Sightloop database"):
        other.check()
    other.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / "text.db").write_text("not a database, by far" * 100)
    wrong = Database(sqlite_url(tmp_path / "text.db"))
    with pytest.raises((NotAWorkspaceDatabase, DatabaseDamaged)):
        wrong.check()
    wrong.close()


@pytest.mark.sqlite_only
@pytest.mark.parametrize("end", [".db", ".points.db"])
def test_a_workspaces_file_that_is_no_database_any_more_is_damaged(path: Path, end: str):
    made = Database(sqlite_url(path))
    made.create()
    made.close()
    db = Database(sqlite_url(path))
    db.check()
    db.close()
    path.with_name(f"sightloop{end}").write_bytes(b"\0" * 8192)
    with pytest.raises(DatabaseDamaged, match="restore a backup"), db.read() as tx:
        tx.execute(text("SELECT COUNT(*) FROM tracking_points"))


@pytest.mark.sqlite_only
def test_a_text_that_is_no_utf_8_any_more_is_damage(path: Path):
    db = Database(sqlite_url(path))
    with db.write() as tx:
        tx.execute(text("CREATE TABLE notes (said TEXT)"))
        tx.execute(text("INSERT INTO notes VALUES (CAST(x'61ff' AS TEXT))"))
    with pytest.raises(DatabaseDamaged, match="UTF-8"), db.read() as tx:
        tx.execute(text("SELECT said FROM notes")).all()
    db.close()


def test_a_full_disk_is_named_and_leaves_the_database_as_it_was(path: Path):
    db = Database(sqlite_url(path))
    with db.write() as tx:
        tx.execute(text("CREATE TABLE notes (n INTEGER)"))
    too_much = text(
        "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many LIMIT 100000) "
        "INSERT INTO notes SELECT n FROM many"
    )
    with pytest.raises(DiskFull, match="is full; nothing was half written"), db.write() as tx:
        tx.execute(text("PRAGMA max_page_count = 12"))
        tx.execute(too_much)
    assert count(db) == 0


def fill_and_empty(db: Database, note: str = "x", n: int = 2_000) -> None:
    with db.write() as tx:
        for _ in range(n):
            tx.exec_driver_sql("INSERT INTO bulk VALUES (?)", (f"{note} " * 100,))
    with db.write() as tx:
        tx.exec_driver_sql("DELETE FROM bulk")


@pytest.fixture
def bulky(tmp_path: Path) -> Iterator[Database]:
    opened = Database(sqlite_url(tmp_path / "bulky.db"))
    opened.create()
    with opened.write() as tx:
        tx.exec_driver_sql("CREATE TABLE bulk (note TEXT)")
    yield opened
    opened.close()


def test_space_that_was_freed_goes_back_to_the_disk(bulky: Database):
    bulky.give_back_space()
    empty_bytes = bulky.size_bytes()
    fill_and_empty(bulky)
    assert bulky.size_bytes() > empty_bytes + 400_000
    bulky.give_back_space()
    assert bulky.size_bytes() <= empty_bytes + 8_192


def test_what_was_deleted_can_be_made_unfindable_in_the_files(bulky: Database, tmp_path: Path):
    fill_and_empty(bulky, "jane")
    files = [tmp_path / "bulky.db", tmp_path / "bulky.db-wal"]
    assert any(b"jane" in path.read_bytes() for path in files)
    assert bulky.forget_deleted()
    assert not any(b"jane" in path.read_bytes() for path in files)


def test_a_reader_that_keeps_the_log_is_told_of(bulky: Database):
    other = Database(bulky.url)
    quick = Database(bulky.url, busy_timeout_s=0.05)
    with other.read() as tx:
        tx.exec_driver_sql("SELECT count(*) FROM bulk").fetchone()
        fill_and_empty(bulky, n=1)
        assert not quick.forget_deleted()
    assert quick.forget_deleted()


def test_giving_back_space_beside_a_writer_says_that_the_database_is_busy(bulky: Database):
    fill_and_empty(bulky)
    other = Database(bulky.url, busy_timeout_s=0.05)
    with bulky.write():
        with pytest.raises(DatabaseBusy):
            other.give_back_space()
        with pytest.raises(DatabaseBusy):
            other.forget_deleted()


@both_databases
def test_points_and_records_are_written_beside_each_other_and_read_as_one(db: Database):
    marks = Table("marks", MetaData(), Column("n", BigInteger), schema=POINTS)
    with db.points.write() as tx:
        marks.create(tx)
    with db.write() as tx, db.points.write() as points:
        note(1, tx)
        points.execute(insert(marks).values(n=2))
    with db.read() as tx:
        found = tx.execute(select(text("notes.n"), marks.c.n).select_from(text("notes"), marks))
        assert tuple(found.one()) == (1, 2)


@both_databases
def test_a_refused_change_leaves_those_that_were_written_with_it(db: Database):
    def change(n: int, tx: Tx) -> int:
        note(n, tx)
        if n == 3:
            raise NotFound(what="note", name="3")
        return n

    with ThreadPoolExecutor(8) as pool:
        tasks = [pool.submit(db.write_together, partial(change, n)) for n in range(8)]
    outcomes = [task.exception() or task.result() for task in tasks]
    assert [n for n in outcomes if isinstance(n, int)] == [0, 1, 2, 4, 5, 6, 7]
    assert isinstance(outcomes[3], NotFound)
    assert count(db) == 7


@both_databases
def test_a_number_that_fits_no_column_is_refused_and_those_beside_it_are_written(db: Database):
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(db.write_together, partial(note, n)) for n in (1, 2**63, 2)]
    error = tasks[1].exception()
    assert isinstance(error, NumberTooLarge)
    assert error.code == "SL-122"
    assert count(db) == 2


def test_an_address_of_another_kind_is_refused():
    with pytest.raises(UnfitDatabase, match="begins with 'mysql', not with sqlite: or postgresql:"):
        Database("mysql://root@localhost/plant")
