import math
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.bundle import Detection
from sightloop.contracts.decode import WrongFormat, decode, encode
from sightloop.contracts.job import (
    ArtifactLine,
    CheckpointLine,
    DoneLine,
    ExportJob,
    FailedLine,
    Heartbeat,
    Job,
    JobLine,
    LabelledBox,
    MetricLine,
    Parity,
    ParityAnswer,
    ProgressLine,
    View,
    ViewImage,
)
from sightloop.contracts.job_lines import LineWriter, heartbeats, read_any_job, read_job, read_view
from sightloop.contracts.numbers import from_wire, to_wire
from sightloop.testing.clock import ManualClock

GOLDEN = Path(__file__).parents[1] / "golden"
COMMIT = "sha256:" + "ab" * 32

JOB = Job(
    id="run_0001",
    view="/jobs/run_0001/view",
    output="/jobs/run_0001/output",
    weights="starter",
    epochs=20,
    image_size_px=160,
    batch_size=16,
    seed=0,
    threads=2,
    parameters={"optimizer": "AdamW", "lr0": 0.002},
    parity_images=["images/0c3a.jpg"],
)
EXPORT = ExportJob(
    id="run_0002",
    view="/jobs/export-run_0002/view",
    output="/jobs/export-run_0002/output",
    weights="/jobs/export-run_0002/start/checkpoint.pt",
    image_size_px=160,
    threads=2,
    parameters={"head": "raw"},
    parity_images=["images/0c3a.jpg"],
)
VIEW = View(
    dataset_commit=COMMIT,
    class_names=["open", "short"],
    images=[
        ViewImage(
            file="images/0c3a.jpg",
            width_px=160,
            height_px=120,
            split="val",
            boxes=[LabelledBox(1, 10.0, 20.5, 30.0, 44.0)],
        ),
        ViewImage(
            file="images/7e01.png", width_px=160, height_px=160, split="train", repeat=4, boxes=[]
        ),
    ],
)
PARITY = Parity(
    score_floor=0.05,
    answers=[ParityAnswer("images/0c3a.jpg", [Detection(1, 0.875, 9.5, 20.0, 30.5, 44.0)])],
)
LINES: list[JobLine] = [
    Heartbeat(n=1, at_ms=1_700_000_000_000),
    ProgressLine(n=2, at_ms=1_700_000_004_000, what="epochs", done=1, total=20),
    MetricLine(n=3, at_ms=1_700_000_004_001, name="metrics/mAP50(B)", value=0.25, step=1),
    MetricLine(n=4, at_ms=1_700_000_004_002, name="val/box_loss", value="NaN", step=1),
    CheckpointLine(n=5, at_ms=1_700_000_004_003, file="train/weights/last.pt", epoch=1),
    ArtifactLine(n=6, at_ms=1_700_000_009_000, name="results.csv", file="train/results.csv"),
    DoneLine(
        n=7,
        at_ms=1_700_000_009_001,
        model_file="model.onnx",
        checkpoint="train/weights/best.pt",
        engine_version="ultralytics 8.4.190",
        declared_licence="AGPL-3.0",
        details={"n_train_images": 120},
    ),
]
FAILED_LINES: list[JobLine] = [
    Heartbeat(n=1, at_ms=1_700_000_000_000),
    FailedLine(n=2, at_ms=1_700_000_000_500, code="ENGINE-010", message="no labels"),
]


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("job.json", JOB),
        ("export-job.json", EXPORT),
        ("view.json", VIEW),
        ("parity.json", PARITY),
    ],
)
def test_a_record_reads_and_writes_as_its_golden_file(
    name: str, record: Job | ExportJob | View | Parity
):
    golden = (GOLDEN / name).read_bytes()
    assert decode(golden, type(record), what=name) == record
    assert msgspec.json.format(encode(record), indent=2) + b"\n" == golden


@pytest.mark.parametrize(
    ("name", "lines"), [("events.jsonl", LINES), ("events-failed.jsonl", FAILED_LINES)]
)
def test_the_lines_of_a_job_read_and_write_as_their_golden_file(name: str, lines: list[JobLine]):
    golden = (GOLDEN / name).read_bytes()
    read = [msgspec.json.decode(text, type=JobLine) for text in golden.splitlines()]
    assert read == lines
    assert b"".join(msgspec.json.encode(line) + b"\n" for line in read) == golden


def test_a_job_of_a_later_format_is_refused_by_name():
    later = encode(JOB).replace(b"sightloop.job/1", b"sightloop.job/2")
    with pytest.raises(WrongFormat, match=r"sightloop\.job/1 but is 'sightloop\.job/2'"):
        decode(later, Job, what="job.json")


@given(st.floats(allow_nan=False))
def test_every_number_survives_the_way_through_json(value: float):
    text = msgspec.json.encode(MetricLine(name="loss", value=to_wire(value), step=0))
    assert msgspec.json.decode(text, type=JobLine).measured == value


def test_not_a_number_survives_the_way_through_json():
    assert math.isnan(from_wire(to_wire(math.nan)))


@pytest.mark.parametrize("job", [JOB, EXPORT])
def test_an_engine_tells_a_training_from_an_export(tmp_path: Path, job: Job | ExportJob):
    (tmp_path / "job.json").write_bytes(encode(job))
    assert read_any_job(tmp_path / "job.json") == job


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"format":"sightloop.export/2"}', b"\xff"])
def test_what_is_neither_kind_of_job_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "job.json").write_bytes(content)
    with pytest.raises(WrongFormat):
        read_any_job(tmp_path / "job.json")


def test_an_engine_of_old_refuses_an_export_by_its_name():
    with pytest.raises(WrongFormat, match=r"sightloop\.export/1"):
        decode(encode(EXPORT), Job, what="job.json")


def test_an_engine_finds_its_job_and_its_view(tmp_path: Path):
    job = msgspec.structs.replace(JOB, view=str(tmp_path))
    (tmp_path / "job.json").write_bytes(encode(job))
    (tmp_path / "view.json").write_bytes(encode(VIEW))
    assert read_job(tmp_path / "job.json") == job
    assert read_view(job) == VIEW


def test_lines_are_numbered_and_timed_by_the_writer(tmp_path: Path):
    writer = LineWriter(tmp_path, ManualClock(now_ms=7))
    writer.write(Heartbeat())
    writer.write(ProgressLine(what="epochs", done=0, total=1))
    writer.close()
    assert written(tmp_path) == [
        Heartbeat(n=1, at_ms=7),
        ProgressLine(n=2, at_ms=7, what="epochs", done=0, total=1),
    ]


def test_threads_number_their_lines_without_gaps(tmp_path: Path):
    writer = LineWriter(tmp_path, ManualClock())

    def write_fifty() -> None:
        for _ in range(50):
            writer.write(Heartbeat())

    threads = [threading.Thread(target=write_fifty) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line.n for line in written(tmp_path)] == list(range(1, 201))


def test_a_second_engine_cannot_write_into_the_same_folder(tmp_path: Path):
    LineWriter(tmp_path, ManualClock()).close()
    with pytest.raises(FileExistsError):
        LineWriter(tmp_path, ManualClock())


def test_a_heart_beats_at_once_and_not_after_the_work(tmp_path: Path):
    writer = LineWriter(tmp_path, ManualClock())
    with heartbeats(writer, every_s=60):
        pass
    assert [type(line) for line in written(tmp_path)] == [Heartbeat]


def written(output: Path) -> list[JobLine]:
    content = (output / "events.jsonl").read_bytes()
    return [msgspec.json.decode(text, type=JobLine) for text in content.splitlines()]
