import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sightloop.device.sources.folders import SETTLED_S, FolderWatch
from sightloop.device.sources.ledger import Ledger, Seen
from sightloop.device.sources.mailbox import Mailbox
from sightloop.device.sources.taken import Taken
from sightloop.testing.faults import CrashPlan, SimulatedCrash, dying_disk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


@pytest.fixture
def watch(folder: Path, tmp_path: Path) -> Callable[..., FolderWatch]:
    def make(after: str = "keep") -> FolderWatch:
        ledger = Ledger(tmp_path / "ledger.jsonl")
        return FolderWatch(folder, ledger, after=after, max_bytes=1000)  # type: ignore[arg-type]

    return make


def ready(watch: FolderWatch) -> list[str]:
    """Names that are finished after looking twice, far enough apart."""
    watch.finished(at_s=0.0)
    return [name for name, _ in watch.finished(at_s=SETTLED_S)]


def take_all(watch: FolderWatch, *, finish: bool = True) -> list[bytes]:
    """What the watch gives, each dealt with before the next."""
    mailbox: Mailbox[Taken] = Mailbox()
    watch.settle()
    watch.finished(at_s=0.0)
    found = watch.finished(at_s=SETTLED_S)

    def give() -> None:
        for name, stat in found:
            watch._give(name, stat, mailbox)
        mailbox.close("")

    threading.Thread(target=give, daemon=True).start()
    contents = []
    while (taken := mailbox.take()) is not None:
        assert isinstance(taken.frame, bytes)
        contents.append(taken.frame)
        if finish:
            taken.finish()
    return contents


def test_files_come_oldest_first_and_once(folder, watch):
    for index, name in enumerate(["b.jpg", "a.png", "c.bmp"]):
        (folder / name).write_bytes(name.encode())
        os.utime(folder / name, ns=(index, index))
    assert take_all(watch()) == [b"b.jpg", b"a.png", b"c.bmp"]
    assert take_all(watch()) == []


def test_a_file_that_still_grows_is_left_alone(folder, watch):
    one = watch()
    (folder / "a.jpg").write_bytes(b"half")
    assert one.finished(at_s=0.0) == []
    (folder / "a.jpg").write_bytes(b"half and more")
    assert one.finished(at_s=SETTLED_S) == []
    assert [name for name, _ in one.finished(at_s=2 * SETTLED_S)] == ["a.jpg"]


@pytest.mark.parametrize("name", [".a.jpg", "a.jpg.part", "notes.txt", "a"])
def test_names_that_are_no_finished_image_are_passed_over(folder, watch, name: str):
    (folder / name).write_bytes(b"x")
    assert ready(watch()) == []


def test_a_folder_inside_is_not_entered(folder, watch):
    (folder / "sub.jpg").mkdir()
    assert ready(watch()) == []


def test_a_file_that_was_only_touched_is_not_looked_at_again(folder, watch):
    (folder / "a.jpg").write_bytes(b"x")
    assert take_all(watch()) == [b"x"]
    os.utime(folder / "a.jpg", ns=(5, 5))
    assert take_all(watch()) == []
    (folder / "a.jpg").write_bytes(b"another picture of that name")
    assert take_all(watch()) == [b"another picture of that name"]


def test_a_file_nobody_dealt_with_comes_again_after_a_restart(folder, watch):
    (folder / "a.jpg").write_bytes(b"x")
    one = watch()
    assert take_all(one, finish=False) == [b"x"]
    assert ready(one) == []  # under way
    assert take_all(watch()) == [b"x"]


def test_done_files_are_moved_or_deleted_as_configured(folder, watch):
    (folder / "a.jpg").write_bytes(b"x")
    take_all(watch("move"))
    assert (folder / "done" / "a.jpg").read_bytes() == b"x"
    (folder / "b.jpg").write_bytes(b"y")
    take_all(watch("delete"))
    assert {path.name for path in folder.iterdir()} == {"done"}


def test_a_file_longer_than_allowed_is_garbage_and_not_read(folder, watch):
    (folder / "a.jpg").write_bytes(bytes(1001))
    assert take_all(watch()) == []
    assert ready(watch()) == []


def test_after_a_crash_before_any_write_every_file_is_looked_at_and_put_away(folder, watch):
    def work() -> list[bytes]:
        return take_all(watch("move"))

    plan = CrashPlan()
    (folder / "count.jpg").write_bytes(b"count")
    with dying_disk(plan):
        work()
    assert plan.n_writes >= 2
    for step in range(plan.n_writes):
        (folder / f"{step}.jpg").write_bytes(b"%d" % step)
        with dying_disk(CrashPlan(before_write=step)), pytest.raises(SimulatedCrash):
            work()
        work()
        assert ready(watch("move")) == []
        assert (folder / "done" / f"{step}.jpg").exists()


def test_a_torn_line_costs_one_file_a_second_look_and_no_more(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    for name in ("a", "b"):
        ledger.add(Seen(name, 1, 1, name))
    path.write_bytes(path.read_bytes()[:-4])
    again = Ledger(path)
    assert again.knows_stat("a", size_bytes=1, mtime_ns=1)
    assert not again.knows_stat("b", size_bytes=1, mtime_ns=1)
    again.forget_all_but({"a", "b"})
    again.add(Seen("c", 1, 1, "c"))
    assert Ledger(path).knows_stat("c", size_bytes=1, mtime_ns=1)


def test_the_ledger_forgets_files_that_are_gone(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for name in ("a", "b"):
        ledger.add(Seen(name, 1, 1, name))
    ledger.forget_all_but({"b"})
    assert (tmp_path / "ledger.jsonl").read_bytes().count(b"\n") == 1
