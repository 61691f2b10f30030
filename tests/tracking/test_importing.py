"""Runs that others recorded, imported; and runs written for TensorBoard."""

import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.faults import CrashingDatabase, CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.errors import ExportBlocked, NothingToImport, RunUnknown, UnreadableSource
from sightloop.tracking.exporting import ExportRuns, export_runs
from sightloop.tracking.importing.account import ImportedRuns, ImportRuns
from sightloop.tracking.importing.naming import logged_histograms, logged_image, media_name, quoted
from sightloop.tracking.importing.services import import_runs
from sightloop.tracking.inputs import datasets_of
from sightloop.tracking.labels import params_of, tags_of
from sightloop.tracking.points import latest_metrics, metric_history
from sightloop.tracking.recording import mark_run
from sightloop.tracking.store import list_runs
from sightloop.tracking.tensorboard.events import Histogram
from sightloop.tracking.tensorboard.records import frame, frame_all
from sightloop.tracking.tensorboard.writing import (
    histogram_event,
    image_event,
    scalar_events,
    version_event,
)

OTHERS = Path(__file__).parent / "event_files"
VIEWER = Call(Actor(ActorId("v"), "person", Role.VIEWER))
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x02\0\0\0\x03\x08\x02\0\0\0...."


def bring_in(workspace: Workspace, path: Path, **options: str) -> ImportedRuns:
    return import_runs(workspace, LOCAL_CALL, ImportRuns(path=str(path), **options))


def scalars(tag: str, first: int, n: int, begin_s: float = 1000.0) -> bytes:
    steps = np.arange(first, first + n)
    return frame_all(scalar_events(tag, steps, begin_s + steps, steps / 4))


def log(folder: Path, content: bytes, *, name: str = "events.out.tfevents.1000.a") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(frame(version_event(1000.0)) + content)
    return folder / name


def everything(workspace: Workspace) -> dict[str, object]:
    """All that the runs hold, by their names."""
    found = {}
    with workspace.db.read() as tx:
        for run in list_runs(tx):
            metrics = {key: metric_history(tx, run.id, key) for key in latest_metrics(tx, run.id)}
            labels = (params_of(tx, run.id), tags_of(tx, run.id))
            state = (run.state, run.started_at_ms, run.ended_at_ms)
            found[run.name] = (metrics, artifacts_of(tx, run.id), labels, state)
    return found


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Two runs, one with everything."""
    folder = tmp_path / "logs"
    rich = [
        histogram_event("w", 1, 1001.0, Histogram([0.0, 1.0, 2.0], [3.0, 4.0])),
        image_event("val/masks", 1, 1001.0, PNG),
    ]
    log(folder / "first", scalars("loss", 0, 5) + scalars("acc", 0, 2) + frame_all(rich))
    log(folder / "deep" / "second", scalars("loss", 0, 3), name="x.tfevents.2")
    return folder


def test_every_folder_with_event_files_becomes_a_run(workspace: Workspace, logs: Path):
    told = bring_in(workspace, logs)
    assert told.format == "tensorboard"
    assert {(one.name, one.experiment, one.n_points) for one in told.runs} == {
        ("first", "logs", 7),
        ("deep/second", "logs", 3),
    }
    metrics, artifacts, _, state = everything(workspace)["first"]
    assert [(p.step, p.at_ms, p.value) for p in metrics["acc"]] == [
        (0, 1_000_000, 0.0),
        (1, 1_001_000, 0.25),
    ]
    assert artifacts.keys() == {"histograms/w.jsonl", "images/val/masks/1.png"}
    assert state == ("finished", 1_000_000, 1_004_000)
    assert told.skipped == told.flaws == []


def test_importing_again_changes_nothing(workspace: Workspace, logs: Path):
    bring_in(workspace, logs)
    before = everything(workspace)
    again = bring_in(workspace, logs)
    assert everything(workspace) == before
    assert (again.n_points, [one.is_new for one in again.runs]) == (0, [False, False])


def test_a_run_that_went_on_is_imported_from_where_it_was_left(workspace: Workspace, logs: Path):
    bring_in(workspace, logs)
    with next((logs / "first").iterdir()).open("ab") as file:
        file.write(scalars("loss", 5, 4))
        file.write(frame(histogram_event("w", 2, 1002.0, Histogram([0.0, 5.0], [1.0]))))
    log(logs / "first", scalars("loss", 9, 1), name="events.out.tfevents.2000.b")
    again = bring_in(workspace, logs)
    (first,) = [one for one in again.runs if one.name == "first"]
    assert (first.n_points, first.n_points_known, first.is_new) == (5, 0, False)
    metrics, artifacts, _, state = everything(workspace)["first"]
    assert [point.step for point in metrics["loss"]] == list(range(10))
    lines = workspace.blobs.read(artifacts["histograms/w.jsonl"]).splitlines()
    assert [line[:9] for line in lines] == [b'{"step":1', b'{"step":2']
    assert state == ("finished", 1_000_000, 1_009_000)
    assert again.skipped == []


def test_a_moved_folder_is_known_again(workspace: Workspace, logs: Path, tmp_path: Path):
    bring_in(workspace, logs, experiment="parts")
    logs.rename(tmp_path / "elsewhere")
    again = bring_in(workspace, tmp_path / "elsewhere", experiment="parts")
    assert [one.is_new for one in again.runs] == [False, False]


def test_a_file_that_is_being_written_is_finished_the_next_time(workspace: Workspace, logs: Path):
    file = next((logs / "first").iterdir())
    whole = file.read_bytes()
    file.write_bytes(whole[:200])
    told = bring_in(workspace, logs)
    (flaw,) = told.flaws
    assert "is not complete" in flaw.problem
    file.write_bytes(whole)
    assert bring_in(workspace, logs).flaws == []
    assert len(everything(workspace)["first"][0]["loss"]) == 5


def test_a_crash_before_any_write_loses_and_doubles_nothing(
    workspace: Workspace, logs: Path, tmp_path: Path
):
    bring_in(workspace, logs, experiment="whole")
    wanted = everything(workspace)
    n_crashes = 0
    while True:
        plan = CrashPlan(before_write=n_crashes)
        dying = crashing(workspace, plan)
        dying.db.points = CrashingDatabase(workspace.db.points.url, plan)
        try:
            bring_in(dying, logs, experiment=f"crash {n_crashes}")
        except SimulatedCrash:
            pass
        else:
            break
        finally:
            dying.db.close()
        again = bring_in(workspace, logs, experiment=f"crash {n_crashes}")
        assert sum(one.n_points + one.n_points_known for one in again.runs) <= 10
        with workspace.db.read() as tx:
            runs = list_runs(tx, experiment=f"crash {n_crashes}")
            for run in runs:
                metrics, artifacts, _, _ = wanted[run.name]
                for key, points in metrics.items():
                    assert metric_history(tx, run.id, key) == points
                assert artifacts_of(tx, run.id) == artifacts
        assert sorted(run.name for run in runs) == ["deep/second", "first"]
        n_crashes += 1
    assert n_crashes > 8


def test_what_cannot_be_kept_is_counted(workspace: Workspace, tmp_path: Path):
    bad_time = frame_all(scalar_events("a", np.array([1]), np.array([np.nan]), np.array([1.0])))
    log(
        tmp_path / "logs",
        scalars("k" * 251, 0, 3)
        + bad_time
        + scalars("same", 1, 1)
        + scalars("same", 1, 1)
        + frame(image_event("i", 1, 1.0, PNG))
        + frame(image_event("i", 1, 1.0, PNG + b"later")),
    )
    told = bring_in(workspace, tmp_path / "logs")
    assert {(one.what, one.n) for one in told.skipped} == {
        ("points", 3),
        ("points", 1),
        ("artifact", 1),
    }
    (run,) = told.runs
    assert (run.n_points, run.n_points_known) == (1, 1)


def test_a_deleted_run_is_left_alone(workspace: Workspace, logs: Path):
    told = bring_in(workspace, logs)
    mark_run(workspace, LOCAL_CALL, told.runs[0].run, is_deleted=True)
    again = bring_in(workspace, logs)
    assert len(again.runs) == 1
    (skipped,) = again.skipped
    assert "is deleted; restore it first" in skipped.why


def test_files_of_torch_and_tensorflow_become_runs(workspace: Workspace, tmp_path: Path):
    for name in ("torch", "hparams", "tensorflow2"):
        (tmp_path / "logs" / name).mkdir(parents=True)
        shutil.copy(OTHERS / f"{name}.tfevents", tmp_path / "logs" / name)
    told = bring_in(workspace, tmp_path / "logs")
    found = everything(workspace)
    assert {one.name: one.n_points for one in told.runs} == {
        "torch": 9,
        "hparams": 1,
        "tensorflow2": 5,
    }
    assert found["hparams"][2][0] == {"lr": "0.5", "opt": "sgd"}
    assert found["torch"][1].keys() == {
        "histograms/w/conv.jsonl",
        "images/img/7.png",
        "text/note/text_summary/7.md",
    }
    assert "images/pics/0-1.png" in found["tensorflow2"][1]
    assert ("graph", 1) in {(one.what, one.n) for one in told.skipped}


# MLflow


@pytest.fixture
def mlflow_database(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.db"
    text = (Path(__file__).parent / "mlflow_3.17.2.sql").read_text()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(text.replace("file:///elsewhere", f"file://{tmp_path}"))
    notes = tmp_path / "art28" / "79fd6d8a9dd94b5683a9d737bdfcbb22" / "artifacts" / "notes"
    notes.mkdir(parents=True)
    (notes / "a.txt").write_text("hello")
    (notes / "out").symlink_to("/etc/passwd")
    return path


def test_a_database_of_mlflow_is_imported_whole(workspace: Workspace, mlflow_database: Path):
    before = mlflow_database.read_bytes()
    told = bring_in(workspace, mlflow_database)
    assert told.format == "mlflow"
    (run,) = told.runs
    assert (run.name, run.experiment, run.n_points) == ("first", "parts", 8)
    metrics, artifacts, (params, tags), state = everything(workspace)["first"]
    assert [point.value for point in metrics["loss"]] == [1.0, 0.5, 1 / 3, 0.25, 0.2]
    assert math.isnan(metrics["bad"][0].value)
    assert metrics["big"][0].value == math.inf
    assert metrics["train/loss"][0].step == -3
    assert params == {"lr": "0.1", "epochs": "3"}
    assert (tags["who"], tags["mlflow.user"]) == ("me", "root")
    assert artifacts.keys() == {"notes/a.txt"}
    assert state == ("finished", 1795598642615, 1795598642912)
    with workspace.db.read() as tx:
        (used,) = datasets_of(tx, [run.run])[run.run]
    assert (used.dataset.name, used.tags) == ("ds", [("mlflow.data.context", "training")])
    assert {(one.what, one.why) for one in told.skipped} == {("run", "it is deleted in MLflow")}
    assert mlflow_database.read_bytes() == before


def test_a_database_of_mlflow_is_imported_again_for_what_is_new(
    workspace: Workspace, mlflow_database: Path
):
    bring_in(workspace, mlflow_database)
    before = everything(workspace)
    assert bring_in(workspace, mlflow_database).n_points == 0
    assert everything(workspace) == before
    with closing(sqlite3.connect(mlflow_database)) as database, database:
        database.execute(
            "INSERT INTO metrics SELECT key, 7.0, timestamp + 1, run_uuid, 5, 0 FROM metrics "
            "WHERE key = 'loss' AND step = 4"
        )
        database.execute("UPDATE params SET value = 'other' WHERE key = 'epochs'")
    told = bring_in(workspace, mlflow_database)
    assert told.n_points == 1
    assert any("'epochs'" in one.why and "cannot become 'other'" in one.why for one in told.skipped)


def test_a_store_cannot_make_us_keep_the_files_of_another_folder(
    workspace: Workspace, mlflow_database: Path, tmp_path: Path
):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("k")
    with closing(sqlite3.connect(mlflow_database)) as database, database:
        uri = f"file://{tmp_path}/secret"
        database.execute("UPDATE runs SET artifact_uri = ?", (uri,))
    told = bring_in(workspace, mlflow_database)
    assert everything(workspace)["first"][1] == {}
    assert any("is not a folder on this machine" in one.why for one in told.skipped)


@pytest.mark.parametrize("n_bytes", [0, 100, 5000])
def test_a_damaged_database_is_an_error(workspace: Workspace, mlflow_database: Path, n_bytes: int):
    mlflow_database.write_bytes(b"SQLite format 3\0" + b"x" * n_bytes)
    with pytest.raises(UnreadableSource, match=r"mlflow.db cannot be imported") as caught:
        bring_in(workspace, mlflow_database)
    assert caught.value.code == "TRACK-041"


def test_a_database_of_somebody_else_is_refused(workspace: Workspace, tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "other.db")) as database, database:
        database.execute("CREATE TABLE runs (id)")
    with pytest.raises(UnreadableSource, match="has no table experiments, metrics"):
        bring_in(workspace, tmp_path / "other.db")


@pytest.fixture
def mlruns(tmp_path: Path) -> Path:
    root = tmp_path / "mlruns"
    run = root / "612" / "3ab7"
    for folder in ("metrics/train", "params", "tags", "artifacts/weights"):
        (run / folder).mkdir(parents=True)
    meta = "artifact_location: file:///gone/612\nexperiment_id: '612'\nname: parts\n"
    (root / "612" / "meta.yaml").write_text(meta)
    (run / "meta.yaml").write_text(
        "artifact_uri: file:///gone/612/3ab7/artifacts\nlifecycle_stage: active\nrun_id: 3ab7\n"
        "run_name: first\nstart_time: 1000\nend_time: 9000\nstatus: 4\nuser_id: me\n"
    )
    (run / "metrics" / "train" / "loss").write_text(
        "2000 0.5 0\n3000 nan 1\n4000 inf 2 ds d1\nbad\n"
    )
    (run / "params" / "lr").write_text("0.1")
    (run / "tags" / "who").write_text("me")
    (run / "artifacts" / "weights" / "best.pt").write_bytes(b"w")
    gone = root / "612" / "dead"
    gone.mkdir()
    (gone / "meta.yaml").write_text("lifecycle_stage: deleted\nrun_id: dead\n")
    return root


def test_a_file_store_of_mlflow_is_imported_whole(workspace: Workspace, mlruns: Path):
    told = bring_in(workspace, mlruns)
    assert told.format == "mlruns"
    (run,) = told.runs
    assert (run.name, run.experiment, run.n_points) == ("first", "parts", 3)
    metrics, artifacts, (params, tags), state = everything(workspace)["first"]
    assert [(p.step, p.at_ms, str(p.value)) for p in metrics["train/loss"]] == [
        (0, 2000, "0.5"),
        (1, 3000, "nan"),
        (2, 4000, "inf"),
    ]
    assert (params, tags["who"], state) == ({"lr": "0.1"}, "me", ("failed", 1000, 9000))
    assert artifacts.keys() == {"weights/best.pt"}
    assert {(one.what, one.n) for one in told.skipped} == {("run", 1), ("line of a metric", 1)}
    assert bring_in(workspace, mlruns.parent, format="mlruns").n_points == 0


# Ultralytics


@pytest.fixture
def detect(tmp_path: Path) -> Path:
    folder = tmp_path / "detect" / "train2"
    (folder / "weights").mkdir(parents=True)
    (folder / "args.yaml").write_text("epochs: 3\nlr0: 0.01\nname: train2\nproject: null\n")
    (folder / "results.csv").write_text(
        "                  epoch,      time,     train/box_loss,metrics/mAP50(B)\n"
        "1,12.5,1.5,0.25\n2,25,nan,0.5\n"
    )
    (folder / "weights" / "best.pt").write_bytes(b"w")
    (folder / "confusion_matrix.png").write_bytes(PNG)
    (folder / "events.out.tfevents.1").write_bytes(b"")
    return folder


def test_a_run_folder_of_ultralytics_is_imported_whole(workspace: Workspace, detect: Path):
    told = bring_in(workspace, detect.parent)
    assert told.format == "ultralytics"
    (run,) = told.runs
    assert (run.name, run.experiment, run.n_points) == ("train2", "None", 6) or run.experiment
    metrics, artifacts, (params, _), state = everything(workspace)["train2"]
    assert [point.value for point in metrics["metrics/mAP50(B)"]] == [0.25, 0.5]
    assert [point.step for point in metrics["time"]] == [1, 2]
    assert metrics["time"][1].at_ms == state[1] + 25_000 == state[2]
    assert (params["lr0"], params["epochs"]) == ("0.01", "3")
    assert artifacts.keys() == {
        "args.yaml",
        "confusion_matrix.png",
        "results.csv",
        "weights/best.pt",
    }
    assert [one.why for one in told.skipped] == ["import it with --format tensorboard"]


def test_a_training_that_went_on_adds_its_new_epochs(workspace: Workspace, detect: Path):
    bring_in(workspace, detect)
    with (detect / "results.csv").open("a") as file:
        file.write("3,37.5,1.0,0.75\n4,5")
    told = bring_in(workspace, detect)
    (run,) = told.runs
    assert (run.n_points, run.n_points_known, run.is_new) == (3, 6, False)
    assert run.n_artifacts == 1
    assert "is not complete, or has no epoch" in {one.why.split("it ")[-1] for one in told.skipped}


# Everything else


def test_a_folder_without_runs_is_refused(workspace: Workspace, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToImport, match="holds no runs in a format that is known") as caught:
        bring_in(workspace, tmp_path / "empty")
    assert caught.value.code == "TRACK-040"
    for kind in ("tensorboard", "mlruns", "ultralytics"):
        with pytest.raises(NothingToImport):
            bring_in(workspace, tmp_path / "empty", format=kind)
    with pytest.raises(NotFound):
        bring_in(workspace, tmp_path / "nowhere")


def test_who_may_only_look_imports_nothing(workspace: Workspace, logs: Path):
    with pytest.raises(NotAllowed):
        import_runs(workspace, VIEWER, ImportRuns(path=str(logs)))


def test_exported_runs_come_back_as_they_were(workspace: Workspace, logs: Path, tmp_path: Path):
    ids = [one.run for one in bring_in(workspace, logs).runs]
    before = everything(workspace)
    told = export_runs(workspace, VIEWER, ExportRuns(runs=ids, folder=str(tmp_path / "out")))
    assert [(one.n_points, one.n_images, one.n_histograms) for one in told.runs] == [
        (3, 0, 0),
        (7, 1, 1),
    ]
    bring_in(workspace, tmp_path / "out", experiment="back")
    with workspace.db.read() as tx:
        for run in list_runs(tx, experiment="back"):
            metrics, artifacts, _, _ = before[run.name]
            assert artifacts_of(tx, run.id) == artifacts
            assert {key: metric_history(tx, run.id, key) for key in metrics} == metrics


def test_exporting_again_replaces_the_file_and_runs_of_one_name_stay_apart(
    workspace: Workspace, logs: Path, tmp_path: Path
):
    ids = [one.run for one in bring_in(workspace, logs, experiment="a").runs]
    ids += [one.run for one in bring_in(workspace, logs, experiment="b").runs]
    request = ExportRuns(runs=ids, folder=str(tmp_path / "out"))
    first = export_runs(workspace, LOCAL_CALL, request)
    second = export_runs(workspace, LOCAL_CALL, request)
    files = sorted(str(path) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert sorted(one.file for one in first.runs) == files
    assert first.runs == second.runs
    assert len({Path(file).parent for file in files}) == 4


def test_a_run_that_is_not_there_exports_nothing(workspace: Workspace, logs: Path, tmp_path: Path):
    ids = [one.run for one in bring_in(workspace, logs).runs]
    with pytest.raises(RunUnknown):
        export_runs(
            workspace, LOCAL_CALL, ExportRuns(runs=[*ids, "run_9"], folder=str(tmp_path / "out"))
        )
    assert not (tmp_path / "out").exists()
    with pytest.raises(ExportBlocked, match="name a folder to export to") as caught:
        export_runs(workspace, LOCAL_CALL, ExportRuns(runs=ids, folder=__file__))
    assert caught.value.code == "TRACK-042"


tags = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@given(tags, st.integers(-(2**63), 2**63 - 1), st.integers(0, 3))
def test_the_name_of_an_image_tells_its_tag_and_step(tag: str, step: int, index: int):
    name = media_name("images", tag, step, index, PNG)
    assert logged_image(name) == (tag, step)
    parts = name.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert logged_histograms(f"histograms/{quoted(tag)}.jsonl") == tag


@given(tags, tags)
def test_different_tags_have_different_artifacts(one: str, other: str):
    assert (quoted(one) == quoted(other)) == (one == other)
