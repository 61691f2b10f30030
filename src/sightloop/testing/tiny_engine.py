"""An engine for tests: speaks the whole job protocol in about a second, and misbehaves on demand.

Run as `python -m sightloop.testing.tiny_engine job.json`. It trains the toy detector of
`testing.models`, really: a retrained one is better on a style it had not seen. `Settings` lists
what a test can make it do wrong.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal

import msgspec

from sightloop.contracts.bundle import HeadLayout
from sightloop.contracts.decode import encode
from sightloop.contracts.job import (
    CANCELLED_CODE,
    EVENTS_NAME,
    PARITY_ARTIFACT,
    ArtifactLine,
    CheckpointLine,
    DoneLine,
    ExportJob,
    FailedLine,
    Job,
    MetricLine,
    Parity,
    ParityAnswer,
    ProgressLine,
    View,
    ViewImage,
)
from sightloop.contracts.job_lines import LineWriter, heartbeats, read_any_job, read_view
from sightloop.contracts.numbers import to_wire
from sightloop.kernel.clock import SystemClock

if TYPE_CHECKING:
    from sightloop.inference.images import Picture
    from sightloop.testing.blob_training import BlobWeights

ARCHITECTURES = ("blobs", "starter")
VERSION = "tiny 1"
LICENCE = "Apache-2.0"
SCORE_FLOOR = 0.05
MODEL_FILE = "blobs.onnx"
CHECKPOINT_FILE = "blobs.pt"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The engine's parameters: what to export, and what to do wrong."""

    head: HeadLayout = "end_to_end"
    level: float | None = None
    """Instead of estimating it from the images."""
    level_file: str = ""
    """Holds a factor on the level, which is also told as the engine's version: another one stands
    for another library."""
    level_per_thread: float = 0.0
    """Makes the level depend on the number of threads, as rounding does."""
    prints: str = ""
    """Goes into the engine's log."""
    pretend: bool = False
    """Deliver placeholders instead of training: for tests that only watch the process."""
    skill: float | Literal["nan"] | None = None
    """Pretend that the metric `score` grows to this over the epochs."""
    run_for_s: float = 0.0
    """Spread over the epochs."""
    heartbeat_every_s: float = 5.0
    starts_file: str = ""
    """Gets a byte for each start, so that a test can count them."""

    fail: str = ""
    exit_with: int | None = None
    die_of: str = ""
    """Name of a signal to send to itself."""
    hang: bool = False
    ignore_sigterm: bool = False
    leak_bytes: int = 0
    tear_last_line: bool = False
    skip_a_number: bool = False
    change_an_image: bool = False
    tell_of: str = ""
    """An artifact file that does not exist or lies elsewhere."""
    keep_parity: bool = False
    """Deliver no parity answers though some are wanted."""


def main(job_file: str) -> int:
    """Do the job; the exit status is 0 when it is done."""
    job = read_any_job(Path(job_file))
    writer = LineWriter(Path(job.output), SystemClock())
    signal.signal(signal.SIGTERM, _stop)
    try:
        settings = msgspec.convert(job.parameters, Settings)
        return _do(job, settings, writer)
    except msgspec.ValidationError as error:
        return _fail(writer, "ENGINE-TINY-1", f"parameters: {error}")
    except _Stopped:
        return _fail(writer, CANCELLED_CODE, "stopped by SIGTERM")


class _Stopped(BaseException):
    """SIGTERM came."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


def _do(job: Job | ExportJob, settings: Settings, writer: LineWriter) -> int:
    if settings.starts_file:
        with Path(settings.starts_file).open("ab") as file:
            file.write(b".")
    if settings.hang or settings.ignore_sigterm:
        return _hang(writer, settings)
    with heartbeats(writer, every_s=settings.heartbeat_every_s):
        _misbehave(job, settings, writer)
        if settings.fail:
            return _fail(writer, "ENGINE-TINY-2", settings.fail)
        if isinstance(job, ExportJob):
            return _export_only(job, settings, writer)
        return (_pretend if settings.pretend else _train)(job, settings, writer)


def _train(job: Job, settings: Settings, writer: LineWriter) -> int:
    view = read_view(job)
    pictures = dict(_read_pictures(job, view))
    try:
        weights = _first_weights(job, settings, view)
    except _CannotStart as error:
        return _fail(writer, "ENGINE-TINY-3", str(error))
    weights = _run_epochs(job, settings, writer, weights=weights, pictures=pictures)
    _export(job, writer, weights)
    if job.parity_images and not settings.keep_parity:
        _answer_parity(job, writer, weights)
    return _finish(writer, settings, details={"level": round(weights.level, 4)})


def _export_only(job: ExportJob, settings: Settings, writer: LineWriter) -> int:
    from sightloop.testing.blob_training import BlobWeights

    try:
        weights = msgspec.json.decode(Path(job.weights).read_bytes(), type=BlobWeights)
    except msgspec.DecodeError as error:
        return _fail(writer, "ENGINE-TINY-3", f"the checkpoint is none: {error}")
    weights = msgspec.structs.replace(weights, size_px=job.image_size_px, head=settings.head)
    _export(job, writer, weights)
    if job.parity_images and not settings.keep_parity:
        _answer_parity(job, writer, weights)
    return _finish(writer, settings, details={})


def _pretend(job: Job, settings: Settings, writer: LineWriter) -> int:
    for epoch in range(1, job.epochs + 1):
        time.sleep(settings.run_for_s / job.epochs)
        writer.write(MetricLine(name="train/loss", value=1 / epoch, step=epoch))
        if settings.skill is not None:
            score = to_wire(float(settings.skill) * epoch / job.epochs)
            writer.write(MetricLine(name="score", value=score, step=epoch))
        writer.write(ProgressLine(what="epochs", done=epoch, total=job.epochs))
    for name in (MODEL_FILE, CHECKPOINT_FILE):
        _write_output(job, name, name.encode())
    if job.parity_images and not settings.keep_parity:
        _tell_parity(job, writer, [])
    return _finish(writer, settings, details={})


def _factor(settings: Settings) -> float:
    return float(Path(settings.level_file).read_text()) if settings.level_file else 1.0


def _finish(writer: LineWriter, settings: Settings, *, details: dict[str, float]) -> int:
    if settings.prints:
        sys.stdout.write(f"{settings.prints}\n")
    if settings.tell_of:
        writer.write(ArtifactLine(name="told.txt", file=settings.tell_of))
    writer.write(
        DoneLine(
            model_file=MODEL_FILE,
            checkpoint=CHECKPOINT_FILE,
            engine_version=f"{VERSION}*{_factor(settings):g}" if settings.level_file else VERSION,
            declared_licence=LICENCE,
            details=details,
        )
    )
    return 0


class _CannotStart(Exception):
    """The job's weights or size do not fit this engine."""


def _first_weights(job: Job, settings: Settings, view: View) -> BlobWeights:
    from sightloop.testing.blob_training import (
        BlobWeights,
    )  # numpy and OpenCV: after the quick exits

    if job.image_size_px % 8:
        raise _CannotStart(f"image_size_px {job.image_size_px} is no multiple of 8")
    fresh = BlobWeights(classes=view.class_names, size_px=job.image_size_px, head=settings.head)
    if job.weights in ARCHITECTURES:
        return fresh
    try:
        start = msgspec.json.decode(Path(job.weights).read_bytes(), type=BlobWeights)
    except (OSError, msgspec.DecodeError) as error:
        names = ", ".join(ARCHITECTURES)
        raise _CannotStart(
            f"weights {job.weights!r} are neither one of {names}: {error}"
        ) from error
    return msgspec.structs.replace(fresh, level=start.level)


def _run_epochs(
    job: Job,
    settings: Settings,
    writer: LineWriter,
    *,
    weights: BlobWeights,
    pictures: dict[str, tuple[ViewImage, Picture]],
) -> BlobWeights:
    from sightloop.testing.blob_training import draw_curve, estimate_level, measure_amounts

    seen = [pair for pair in pictures.values() if pair[0].split == "train"]
    goal = settings.level or estimate_level(measure_amounts(seen, weights))
    goal = goal * _factor(settings) + settings.level_per_thread * job.threads
    start, losses = weights.level, []
    for epoch in range(1, job.epochs + 1):
        time.sleep(settings.run_for_s / job.epochs)
        is_last = epoch == job.epochs
        level = goal if is_last else goal + (start - goal) / 2**epoch
        weights = msgspec.structs.replace(weights, level=level)
        losses.append(abs(level - goal))
        writer.write(MetricLine(name="train/loss", value=to_wire(losses[-1]), step=epoch))
        # What a metric is before there is anything to measure, as real engines say it.
        writer.write(MetricLine(name="val/recall", value=to_wire(float("nan")), step=epoch))
        _write_output(job, CHECKPOINT_FILE, msgspec.json.encode(weights))
        writer.write(CheckpointLine(file=CHECKPOINT_FILE, epoch=epoch))
        writer.write(ProgressLine(what="epochs", done=epoch, total=job.epochs))
    _write_output(job, "results.png", draw_curve(losses))
    writer.write(ArtifactLine(name="results.png", file="results.png"))
    return weights


def _export(job: Job | ExportJob, writer: LineWriter, weights: BlobWeights) -> None:
    from sightloop.testing.blob_training import export_blobs

    export_blobs(weights, Path(job.output) / MODEL_FILE)
    writer.write(ProgressLine(what="export", done=1, total=1))


def _answer_parity(job: Job | ExportJob, writer: LineWriter, weights: BlobWeights) -> None:
    from sightloop.testing.blob_training import answer

    answers = [
        ParityAnswer(file, answer(_read_picture(job, file), weights, score_floor=SCORE_FLOOR))
        for file in job.parity_images
    ]
    _tell_parity(job, writer, answers)


def _tell_parity(job: Job | ExportJob, writer: LineWriter, answers: list[ParityAnswer]) -> None:
    _write_output(job, "answers.json", encode(Parity(score_floor=SCORE_FLOOR, answers=answers)))
    writer.write(ArtifactLine(name=PARITY_ARTIFACT, file="answers.json"))


def _read_pictures(job: Job, view: View) -> Iterator[tuple[str, tuple[ViewImage, Picture]]]:
    for image in view.images:
        yield image.file, (image, _read_picture(job, image.file))


def _read_picture(job: Job | ExportJob, file: str) -> Picture:
    from sightloop.inference.images import decode_picture

    return decode_picture((Path(job.view) / file).read_bytes(), name=file)


def _write_output(job: Job | ExportJob, name: str, content: bytes) -> None:
    (Path(job.output) / name).write_bytes(content)


def _misbehave(job: Job | ExportJob, settings: Settings, writer: LineWriter) -> None:
    """Whatever goes wrong without a word, or in the middle of one."""
    if settings.leak_bytes:
        hoard = bytearray(settings.leak_bytes)
        hoard[::4096] = b"\x01" * len(hoard[::4096])  # pages count once they were written to
        time.sleep(600)
    if settings.change_an_image:
        image = next(path for path in sorted(Path(job.view).rglob("*")) if path.is_file())
        image.chmod(0o644)
        image.write_bytes(image.read_bytes() + b"\n")
    if settings.skip_a_number:
        _append(job, b'{"kind":"heartbeat","n":7,"at_ms":0}\n')
        time.sleep(600)
    if settings.tear_last_line:
        writer.write(ProgressLine(what="epochs", done=0, total=1))
        _append(job, b'{"kind":"metric","n":3,"na')
        os._exit(1)
    if settings.exit_with is not None:
        sys.stderr.write("Traceback: something the engine printed\n")
        os._exit(settings.exit_with)
    if settings.die_of:
        os.kill(os.getpid(), signal.Signals[settings.die_of])


def _append(job: Job | ExportJob, content: bytes) -> None:
    with (Path(job.output) / EVENTS_NAME).open("ab") as file:
        file.write(content)


def _hang(writer: LineWriter, settings: Settings) -> int:
    if settings.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    writer.write(ProgressLine(what="epochs", done=0, total=1))
    time.sleep(600)
    return 1


def _fail(writer: LineWriter, code: str, message: str) -> int:
    writer.write(FailedLine(code=code, message=message))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
