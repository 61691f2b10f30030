import os
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sightloop.client import lifetimes
from sightloop.client.runs import Run
from sightloop.client.spool import all_spools
from sightloop.client.syncing import sync_spools
from sightloop.inference.images import decode_picture
from sightloop.testing.run_targets import MemoryTarget
from tests.client.conftest import Tracker


def values(target: MemoryTarget, run: str, key: str) -> list[tuple[float, int]]:
    return [(value, step) for k, value, step, _ in target.points[run] if k == key]


def test_what_was_logged_is_at_the_target_when_the_block_ends(track: Tracker, spools: Path):
    with track() as run:
        run.log_params({"lr": 0.1}, epochs=3)
        run.set_tags(line="a")
        run.log({"train/loss": 0.5}, ap=1, step=3)
    target = track.target
    assert target.begun[run.id].experiment == "pcb"
    assert target.params[run.id] == {"lr": "0.1", "epochs": "3"}
    assert target.tags[run.id] == {"line": "a"}
    assert values(target, run.id, "train/loss") == [(0.5, 3)]
    assert target.ends[run.id].state == "finished"
    assert all_spools(spools) == []


def test_a_hundred_thousand_points_arrive_in_order(track: Tracker):
    with track() as run:
        for step in range(100_000):
            run.log(loss=step / 2, step=step)
    assert values(track.target, run.id, "loss") == [(step / 2, step) for step in range(100_000)]


def test_an_exception_fails_the_run_and_goes_on(track: Tracker):
    with pytest.raises(ValueError, match="no images"), track() as run:
        raise ValueError("no images")
    end = track.target.ends[run.id]
    assert (end.state, end.reason) == ("failed", "ValueError: no images")


def test_the_keyboard_cancels_the_run(track: Tracker):
    with pytest.raises(KeyboardInterrupt), track() as run:
        run.log(loss=1)
        raise KeyboardInterrupt
    assert track.target.ends[run.id].state == "cancelled"
    assert values(track.target, run.id, "loss") == [(1.0, 0)]


def test_while_the_server_is_away_all_waits_and_is_told(
    track: Tracker, spools: Path, capsys: pytest.CaptureFixture[str]
):
    track.target.is_away = True
    with track() as run:
        run.log(loss=0.5)
    assert track.target.begun == {}
    told = capsys.readouterr().err
    assert run.id in told
    assert "sightloop runs sync" in told
    track.target.is_away = False
    (done,) = sync_spools(spools, lambda _: track.target, now_ms=0)
    assert (done.run, done.is_done, done.problems) == (run.id, True, [])
    assert values(track.target, run.id, "loss") == [(0.5, 0)]
    assert track.target.ends[run.id].state == "finished"
    assert list(sync_spools(spools, lambda _: track.target, now_ms=0)) == []


def test_every_run_that_still_waits_is_named_and_the_reason_once(track: Tracker, spools: Path):
    track.target.is_away = True
    with track() as first, track() as second:
        first.log(loss=0.5)
    done = list(sync_spools(spools, lambda _: track.target, now_ms=0))
    assert sorted(one.run for one in done) == sorted([first.id, second.id])
    assert [one.is_done for one in done] == [False, False]
    assert sorted(len(one.problems) for one in done) == [0, 1]


def test_the_next_run_forwards_what_an_earlier_one_left(track: Tracker):
    track.target.is_away = True
    with track() as first:
        first.log(loss=0.5)
    track.target.is_away = False
    second = track()
    for _ in range(200):
        if first.id in track.target.ends:
            break
        threading.Event().wait(0.02)
    second.finish()
    assert values(track.target, first.id, "loss") == [(0.5, 0)]


def test_a_server_that_comes_and_goes_gets_all_once(spools: Path):
    target = MemoryTarget(["answer lost", "no answer", "answer lost", "none"] * 3)
    with Tracker(spools, target)() as run:
        for step in range(1000):
            run.log(loss=step, step=step)
    list(sync_spools(spools, lambda _: target, now_ms=0))
    for _ in range(12):
        list(sync_spools(spools, lambda _: target, now_ms=0))
    assert values(target, run.id, "loss") == [(float(step), step) for step in range(1000)]


def test_two_runs_at_once_do_not_mix(track: Tracker):
    with track("one") as one, track("two") as two:
        for step in range(100):
            one.log(loss=1, step=step)
            two.log(loss=2, step=step)
    assert {value for value, _ in values(track.target, one.id, "loss")} == {1.0}
    assert {value for value, _ in values(track.target, two.id, "loss")} == {2.0}
    assert len(values(track.target, one.id, "loss")) == 100


def test_many_threads_may_log(track: Tracker):
    with track() as run:
        threads = [
            threading.Thread(
                target=lambda n=n: [run.log({f"t{n}": i}, step=i) for i in range(1000)]
            )
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for n in range(4):
        assert [step for _, step in values(track.target, run.id, f"t{n}")] == list(range(1000))


def test_a_run_that_was_pickled_into_a_worker_logs_to_the_same_run(track: Tracker):
    with track() as run:
        worker = pickle.loads(pickle.dumps(run))
        worker.log(worker=1, step=7)
        worker.finish("failed")
        run.log(maker=2)
    assert values(track.target, run.id, "worker") == [(1.0, 7)]
    assert values(track.target, run.id, "maker") == [(2.0, 0)]
    assert track.target.ends[run.id].state == "finished"


def test_a_changed_parameter_keeps_its_first_value_and_is_told(
    track: Tracker, capsys: pytest.CaptureFixture[str]
):
    with track() as run:
        run.log_params(lr=1, seed=0)
        run.log_params(lr=2, epochs=3, seed=0)
    assert track.target.params[run.id] == {"lr": "1", "seed": "0", "epochs": "3"}
    assert "'lr': '1', then '2'" in capsys.readouterr().err


def test_a_server_that_was_away_in_between_is_not_told_of(
    spools: Path, capsys: pytest.CaptureFixture[str]
):
    target = MemoryTarget(["no answer"])
    with Tracker(spools, target)() as run:
        threading.Event().wait(0.05)
        run.log(loss=1)
    assert values(target, run.id, "loss") == [(1.0, 0)]
    assert capsys.readouterr().err == ""


def test_numbers_of_other_libraries_are_numbers(track: Tracker):
    with track() as run:
        run.log(a=np.float32(0.5), b=np.array(2), c=True, step=np.int64(4))
    points = {(key, value, step) for key, value, step, _ in track.target.points[run.id]}
    assert points == {("a", 0.5, 4), ("b", 2.0, 4), ("c", 1.0, 4)}


@pytest.mark.parametrize("value", ["0.5", None, [1, 2], np.zeros(3), object(), 10**400])
def test_what_is_no_number_is_told_and_the_rest_is_kept(
    value: object, track: Tracker, capsys: pytest.CaptureFixture[str]
):
    with track() as run:
        run.log(bad=value, good=1.0)
    assert [key for key, *_ in track.target.points[run.id]] == ["good"]
    assert "1 × values that are no numbers: metric 'bad'" in capsys.readouterr().err


class Contrary:
    """An object of a foreign library that refuses to be anything."""

    def __str__(self) -> str:
        raise KeyError("no words")

    def __float__(self) -> float:
        raise LookupError("no number")


HOSTILE: dict[str, Callable[[Run, Path], object]] = {
    "a metric's name that is a number": lambda run, _: run.log({1: 0.5}),  # type: ignore[dict-item]
    "a parameter's name that is a tuple": lambda run, _: run.log_params({("a",): 1}),  # type: ignore[dict-item]
    "half a character in a tag": lambda run, _: run.set_tags(path="a\udcff"),
    "half a character in a parameter": lambda run, _: run.log_params(path="a\ud800"),
    "half a character in a name": lambda run, _: run.set_tags({"a\udcff": "b"}),
    "a file whose name is no text": lambda run, folder: run.log_artifact(folder),
    "a value without words": lambda run, _: run.log_params(x=Contrary()),
    "a value without a number": lambda run, _: run.log(x=Contrary()),
    "a step without a number": lambda run, _: run.log(x=1.0, step=Contrary()),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", HOSTILE)
def test_nothing_a_program_logs_costs_what_it_logs_afterwards(
    what: str, track: Tracker, tmp_path: Path, spools: Path
):
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("odd")
    with track() as run:
        HOSTILE[what](run, folder)
        run.log(after=1.0, step=7)
        run.set_tags(after="yes")
    assert values(track.target, run.id, "after") == [(1.0, 7)]
    assert track.target.tags[run.id]["after"] == "yes"
    assert track.target.ends[run.id].state == "finished"
    assert all_spools(spools) == []


def test_bytes_that_are_no_text_are_kept_as_a_url_writes_them(track: Tracker, tmp_path: Path):
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("odd")
    with track() as run:
        run.log_artifact(tmp_path / os.fsdecode(b"caf\xe9.txt"))
        run.set_tags(command="train caf\udce9")
    assert track.target.files == {(run.id, "caf%E9.txt"): b"odd"}
    assert track.target.tags[run.id] == {"command": "train caf%E9"}


def test_an_error_in_words_that_are_no_text_ends_the_run_all_the_same(track: Tracker):
    with pytest.raises(ValueError, match="caf"), track("caf\udce9") as run:
        raise ValueError("caf\udce9")
    assert track.target.begun[run.id].experiment == "caf%E9"
    assert track.target.ends[run.id].reason == "ValueError: caf%E9"


def test_a_step_that_is_none_is_counted_instead(track: Tracker, capsys: pytest.CaptureFixture[str]):
    with track() as run:
        run.log(loss=1.0, step="three")  # type: ignore[arg-type]
    assert values(track.target, run.id, "loss") == [(1.0, 0)]
    assert "step 'three'" in capsys.readouterr().err


def test_a_file_is_kept_as_it_was_when_it_was_logged(track: Tracker, tmp_path: Path):
    file = tmp_path / "best.pt"
    file.write_bytes(b"one")
    with track() as run:
        run.log_artifact(file)
        file.write_bytes(b"two")
    assert track.target.files == {(run.id, "best.pt"): b"one"}


def test_a_folder_is_kept_with_its_names(track: Tracker, tmp_path: Path):
    (tmp_path / "out" / "weights").mkdir(parents=True)
    (tmp_path / "out" / "weights" / "best.pt").write_bytes(b"w")
    (tmp_path / "out" / "args.yaml").write_bytes(b"a")
    with track() as run:
        run.log_artifact(tmp_path / "out")
        run.log_artifact(tmp_path / "out" / "args.yaml", "settings/args.yaml")
    names = {name for _, name in track.target.files}
    assert names == {"out/weights/best.pt", "out/args.yaml", "settings/args.yaml"}


@pytest.mark.parametrize("name", ["../up", "/root", "a/../../b", "a\\b"])
def test_an_artifact_cannot_leave_its_run(
    name: str, track: Tracker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "a").write_bytes(b"a")
    with track() as run:
        run.log_artifact(tmp_path / "a", name)
    assert track.target.files == {}
    assert "files that could not be kept" in capsys.readouterr().err


def test_a_missing_file_is_told(track: Tracker, capsys: pytest.CaptureFixture[str]):
    with track() as run:
        run.log_artifact("/nowhere/best.pt")
    assert "1 × files that could not be kept: 'best.pt'" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_an_array_is_kept_as_a_picture(shape: tuple[int, ...], track: Tracker):
    picture = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    with track() as run:
        run.log_image(picture, "noise", step=3)
    content = track.target.files[run.id, "images/noise-00000003.png"]
    decoded = decode_picture(content, name="noise")
    assert decoded.shape == (5, 7, 3)
    # Whoever has one channel sees it three times; decoded pictures are blue first.
    assert (decoded == np.broadcast_to(picture.reshape(5, 7, -1), (5, 7, 3))[:, :, ::-1]).all()


def test_what_comes_after_the_end_is_told_nowhere_and_raises_nothing(track: Tracker):
    with track() as run:
        pass
    run.log(loss=1)
    run.log_params(a=1)
    run.finish()
    assert track.target.points[run.id] == []


def test_git_command_and_machine_are_captured(track: Tracker):
    with track(captures=True) as run:
        pass
    tags = track.target.tags[run.id]
    assert tags["sightloop.command"].startswith(sys.orig_argv[0])
    assert tags["sightloop.hardware"]
    assert (run.id, "sightloop/environment.json") in track.target.files


def test_ended_runs_are_not_held(track: Tracker):
    for _ in range(3):
        with track():
            pass
    assert len(lifetimes._open) <= 1
