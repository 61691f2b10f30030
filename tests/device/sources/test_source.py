"""A source at work over real capture processes; who answers is a model as slow as we like."""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.device.errors import ImageUnreadable, NoModelYet
from sightloop.device.image_request import Prediction
from sightloop.device.log import Log
from sightloop.device.sources.declared import SourceDeclaration
from sightloop.device.sources.source import Source
from sightloop.device.state import Installed
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import SightloopError

pytestmark = pytest.mark.processes

PREDICTION = Prediction(
    by=Installed(bundle=digest_of(b"a"), model="pcb", version=1),
    task="detect",
    class_names=["scratch"],
    width_px=64,
    height_px=64,
    detections=[],
)


class Answer(NamedTuple):
    prediction: Prediction
    duration_ms: float


class SlowModel:
    """Answers everything after a while, or fails the first pictures as told."""

    def __init__(self, *, duration_s: float = 0.0, failures: list[SightloopError] | None = None):
        self.duration_s = duration_s
        self.failures = failures or []
        self.seen: list[bytes] = []
        self.groups: list[str] = []

    async def answer(self, content: bytes, stream: StreamDeclaration, *, group: str) -> Answer:
        assert stream.name == "cam1"
        self.seen.append(content)
        self.groups.append(group)
        await asyncio.sleep(self.duration_s)
        if self.failures:
            raise self.failures.pop(0)
        return Answer(PREDICTION, 1000 * self.duration_s)


class Written:
    """Keeps the lines of results."""

    def __init__(self) -> None:
        self.lines: list[dict] = []

    async def write(self, line: bytes) -> None:
        self.lines.append(json.loads(line))

    def files(self) -> list[str]:
        return [line["file"] for line in self.lines]


def make_source(tmp_path: Path, model: SlowModel, written: Written, url: str, **fields) -> Source:
    declared = SourceDeclaration(name="cam1", url=url, **fields)
    return Source(
        declared,
        model,
        stream=declared.stream,
        ledger=tmp_path / "ledger.jsonl",
        write=written.write,
        max_pixels=1_000_000,
        max_bytes=1_000_000,
        clock=SystemClock(),
        log=Log(SystemClock()),
        rng=random.Random(1),
    )


def run_until(source: Source, is_so: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    """Run the source until it is so, or until it came to its end."""

    async def work() -> None:
        task = asyncio.create_task(source.run())
        deadline_s = time.monotonic() + timeout_s
        while not is_so() and not task.done():
            assert time.monotonic() < deadline_s, source.counts.status(
                name="", url="", n_results_dropped=0
            )
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(work())


@pytest.fixture
def written() -> Written:
    return Written()


def test_every_picture_of_a_film_is_looked_at_once_and_the_film_never_again(
    tmp_path, written, film
):
    model = SlowModel(duration_s=0.005)
    run_until(make_source(tmp_path, model, written, str(film(12))), lambda: False)
    assert len(written.lines) == 12
    assert [line["position_ms"] for line in written.lines] == pytest.approx(
        [100.0 * index for index in range(12)]
    )
    assert model.groups == ["film.mp4"] * 12
    again = make_source(tmp_path, model, written, str(film(12)))
    run_until(again, lambda: False)
    assert again.counts.state == "ended"
    assert len(written.lines) == 12


def test_a_rate_passes_over_pictures_of_a_film_by_its_own_time(tmp_path, written, film):
    source = make_source(tmp_path, SlowModel(), written, str(film(20)), max_fps=5)
    run_until(source, lambda: False)
    assert len(written.lines) == 10
    assert source.counts.captured.n_dropped == 10


def test_a_slow_model_sees_fresh_pictures_and_the_stale_ones_are_counted(tmp_path, written, camera):
    camera.fps = 100
    model = SlowModel(duration_s=0.2)
    source = make_source(tmp_path, model, written, camera.url)
    run_until(source, lambda: len(written.lines) >= 6)
    # Without dropping, the sixth would have waited for five others: more than a second.
    assert all(line["age_ms"] < 450 for line in written.lines)
    assert source.counts.captured.n_dropped > 50
    assert len(set(model.seen)) > 1


def test_a_rate_caps_what_is_looked_at(tmp_path, written, camera):
    source = make_source(tmp_path, SlowModel(), written, camera.url, max_fps=10)
    run_until(source, lambda: len(written.lines) >= 6)
    times = [line["captured_at_ms"] for line in written.lines]
    assert times[-1] - times[0] >= 450


def test_a_camera_that_dies_is_opened_again(tmp_path, written, camera):
    camera.die_after = 5
    source = make_source(tmp_path, SlowModel(), written, camera.url)
    run_until(source, lambda: camera.n_connections >= 3)
    assert source.counts.n_reconnects >= 2
    assert len(written.lines) >= 4


def test_a_camera_that_hangs_is_given_up_and_opened_again(tmp_path, written, camera):
    camera.hang_after = 3
    source = make_source(tmp_path, SlowModel(), written, camera.url, hang_s=0.5)
    run_until(source, lambda: camera.n_connections >= 2)
    assert source.counts.n_reconnects >= 1
    assert source.counts.state in {"opening", "reading", "waiting"}


def test_garbage_from_a_camera_is_counted_and_costs_no_good_picture(tmp_path, written, camera):
    good = camera.frame_of
    black = camera.black

    def frame_of(index: int) -> bytes:
        content = good(index)
        return [content, black, content[: len(content) // 3], b"\x00" * 300][index % 4]

    camera.frame_of = frame_of
    source = make_source(tmp_path, SlowModel(), written, camera.url, hang_s=3)
    run_until(source, lambda: source.counts.captured.n_garbage >= 5 and len(written.lines) >= 5)
    assert source.counts.n_failed == 0


def test_a_camera_that_sends_nothing_but_garbage_is_opened_again(tmp_path, written, camera):
    camera.frame_of = lambda _: camera.black
    source = make_source(tmp_path, SlowModel(), written, camera.url, hang_s=0.3)
    # 10 s beyond hang_s only until it has answered at all.
    run_until(source, lambda: camera.n_connections >= 2)
    assert written.lines == []


def test_a_picture_of_a_camera_nobody_can_answer_is_gone(tmp_path, written, camera):
    model = SlowModel(failures=[NoModelYet(slot="main")])
    source = make_source(tmp_path, model, written, camera.url)
    run_until(source, lambda: len(written.lines) >= 1)
    assert source.counts.n_failed == 1
    assert model.seen[0] != model.seen[1]


def test_a_file_nobody_can_answer_waits_and_one_that_is_broken_is_told(tmp_path, written, fill):
    folder = fill("a.jpg", "b.jpg")
    failures: list[SightloopError] = [NoModelYet(slot="main"), ImageUnreadable(problem="is torn")]
    model = SlowModel(failures=failures)
    source = make_source(tmp_path, model, written, str(folder))
    run_until(source, lambda: len(written.lines) >= 2)
    assert written.files() == ["a.jpg", "b.jpg"]
    assert written.lines[0]["problem"] == {"code": "DEV-054", "message": "is torn"}
    assert written.lines[1]["prediction"]["model"] == "pcb"
    assert model.seen[0] == model.seen[1]


def test_a_folder_that_is_being_filled_gives_every_file_once(tmp_path, written, fill):
    folder = fill("a.jpg")
    source = make_source(tmp_path, SlowModel(), written, str(folder), after="move")
    run_until(source, lambda: written.files() == ["a.jpg"])
    fill("b.jpg", "c.jpg")
    again = make_source(tmp_path, SlowModel(), written, str(folder), after="move")
    run_until(again, lambda: (folder / "done" / "c.jpg").exists())
    assert sorted(written.files()) == ["a.jpg", "b.jpg", "c.jpg"]
    assert not list(folder.glob("*.jpg"))


def test_a_source_that_is_not_there_is_told_without_its_password(tmp_path, written, capsys):
    url = "http://admin:hunter2@127.0.0.1:9/live?key=hunter2"
    source = make_source(tmp_path, SlowModel(), written, url, hang_s=1)
    run_until(source, lambda: source.counts.n_reconnects >= 1)
    assert source.counts.problem == "it cannot be opened"
    assert source.counts.state == "waiting"
    log = capsys.readouterr().err
    assert "source.problem stream=cam1 url=http://***@127.0.0.1:9/live?***" in log
    assert "hunter2" not in log


def test_a_capture_process_that_is_killed_is_replaced(tmp_path, written, camera):
    source = make_source(tmp_path, SlowModel(), written, camera.url)
    killed: list[int] = []

    def look() -> bool:
        if written.lines and not killed:
            killed.append(len(written.lines))
            os.kill(source.counts.pid, signal.SIGKILL)
        return bool(killed) and len(written.lines) > killed[0] + 5

    run_until(source, look)
    assert source.counts.n_reconnects == 1
