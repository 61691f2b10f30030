"""Versions made again by the tiny engine, as real processes: what is proved, told and kept."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.job import CHECKPOINT_ARTIFACT
from sightloop.kernel import events
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.config import Config, TrainingConfig
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop.evidence import ShowEvidence, show_evidence
from sightloop.registry import store
from sightloop.registry.catalogue import ShowVersion, show_card, show_version
from sightloop.registry.errors import BadVersionReference
from sightloop.registry.packaging import PackageRun, package_run
from sightloop.registry.reproducing import (
    MODEL_REPRODUCED,
    ListReproductions,
    ReproduceVersion,
    list_reproductions,
    reproduce_version,
)
from sightloop.registry.reproductions import Reproduction
from sightloop.testing.blob_commits import commit_blobs
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing, dying_disk
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of
from sightloop.training.reproducing import rebuilding
from sightloop.training.reproducing.errors import (
    BadChoice,
    EnvironmentUnavailable,
    ImagesMissing,
    NoRecipe,
    NoRoom,
    RecordGone,
)
from sightloop.training.requests import TrainRequest
from sightloop.training.services import train

pytestmark = pytest.mark.processes
# Started as a line of code, not as a module, it counts as installed: its checkout takes no part.
ENGINE = [
    *(sys.executable, "-c"),
    "import sys; from sightloop.testing.tiny_engine import main; sys.exit(main(sys.argv[1]))",
]
VIEWER = Call(Actor(ActorId("viewer"), "person", Role.VIEWER))
Making = Callable[..., Workspace]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Making]:
    """Makes a workspace with the version `parts@1`; keywords are parameters of the engine."""
    made = []

    def build(**fields: object) -> Workspace:
        made.append(build_workspace(tmp_path / f"workspace_{len(made)}", **fields))
        return made[-1]

    yield build
    for workspace in made:
        workspace.db.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One such workspace for tests that leave its records as they are, but for more of them."""
    workspace = build_workspace(tmp_path_factory.mktemp("plain") / "workspace")
    yield workspace
    workspace.db.close()


def build_workspace(
    root: Path, *, engine: list[str] | None = None, threads: int = 1, **parameters: object
) -> Workspace:
    config = Config(training=TrainingConfig(threads=threads, commands={"tiny": engine or ENGINE}))
    workspace = fresh_workspace(root, config=config, clock=SystemClock())
    request = TrainRequest(
        run="run_1",
        experiment="parts",
        name="first",
        dataset_commit=commit_blobs(workspace, n_images=24),
        engine="tiny",
        weights="blobs",
        epochs=1,
        image_size_px=64,
        batch_size=4,
        parity_images=0,
        parameters=parameters,
    )
    train(workspace, LOCAL_CALL, request, control=StepControl(threading.Event()))
    package_run(workspace, LOCAL_CALL, PackageRun(model="parts", run="run_1"))
    return workspace


def reproduce(workspace: Workspace, **choices: object) -> Reproduction:
    request = msgspec.convert({"version": "parts@1", **choices}, ReproduceVersion)
    return reproduce_version(workspace, LOCAL_CALL, request)


def told_of(found: Reproduction) -> dict[str, tuple[str, str, str]]:
    return {one.what: (one.then, one.now, one.reach) for one in found.differences}


def count(workspace: Workspace) -> int:
    wanted = ListReproductions(version="parts@1")
    return len(list_reproductions(workspace, LOCAL_CALL, wanted).reproductions)


def folders(workspace: Workspace) -> list[Path]:
    return [*(workspace.state / "reproductions").glob("*")]


def test_a_version_made_again_is_identical_and_leaves_only_its_record(plain: Workspace):
    workspace = plain
    with workspace.db.read() as tx:
        before = tracking.find_run(tx, "run_1")
    found = reproduce(workspace)
    assert (found.verdict, found.environment, found.name) == ("identical", "this", "parts@1")
    assert found.proof.is_file_equal
    assert found.proof.are_weights_equal
    assert found.differences == []
    assert folders(workspace) == []
    with workspace.db.read() as tx:
        assert tracking.find_run(tx, "run_1") == before
        told = events.history(tx, subject="parts@1")
    event = told[-1]
    assert (event.kind, event.data["reproduction"]) == (MODEL_REPRODUCED, found.id)
    assert (event.data["verdict"], event.actor) == ("identical", LOCAL_CALL.actor.id)


def test_a_reproduction_is_shown_with_its_version_and_in_its_evidence(plain: Workspace):
    workspace = plain
    found = reproduce(workspace)
    wanted = ShowVersion(version="parts@1")
    assert show_version(workspace, LOCAL_CALL, wanted).reproductions[0] == found
    assert "identical" in show_card(workspace, LOCAL_CALL, wanted).markdown.split("Made again")[1]
    chain = show_evidence(workspace, LOCAL_CALL, ShowEvidence(version="parts@1"))
    assert chain.reproductions[0] == found
    listed = list_reproductions(workspace, LOCAL_CALL, ListReproductions(version="parts@1"))
    assert listed.reproductions[0] == found


def test_the_story_says_which_data_code_and_environment_were_used(plain: Workspace):
    data, code, environment = reproduce(plain, environment="this").story
    assert data.startswith("data: ")
    assert code == "code: the engine ran as installed packages, no code of a checkout took part"
    assert environment == "environment: this one, as was asked for"


@pytest.mark.parametrize(
    ("factor", "verdict"), [("1.0002", "equivalent"), ("40", "different")], ids=["near", "far"]
)
def test_another_library_is_explained_and_judged_by_its_answers(
    make: Making, tmp_path: Path, factor: str, verdict: str
):
    library = tmp_path / "library"
    library.write_text("1")
    workspace = make(level_file=str(library))
    library.write_text(factor)
    found = reproduce(workspace)
    assert found.verdict == verdict
    assert not found.proof.are_weights_equal
    then, now, reach = told_of(found)["engine's own version"]
    assert (then, now, reach) == ("tiny 1*1", f"tiny 1*{float(factor):g}", "result")


def test_other_threads_are_explained(make: Making):
    workspace = make(level_per_thread=0.00001)
    found = reproduce(workspace, threads=2)
    assert found.verdict == "equivalent"
    assert told_of(found) == {"threads": ("1", "2", "rounding")}


def test_the_recorded_number_of_threads_is_used_whatever_the_workspace_is_set_to(make: Making):
    workspace = make(level_per_thread=0.00001, threads=2)
    config = Config(training=TrainingConfig(threads=1, commands={"tiny": ENGINE}))
    object.__setattr__(workspace, "config", config)
    assert reproduce(workspace).verdict == "identical"


def test_an_operator_that_the_log_warns_of_is_named(make: Making):
    prints = "upsample_backward does not have a deterministic implementation"
    found = reproduce(make(prints=prints))
    assert found.verdict == "identical"
    assert "operator upsample_backward" in told_of(found)


def test_a_crash_before_any_write_is_made_good_by_the_next_call(plain: Workspace):
    workspace = plain
    n_before, crashes = count(workspace), 0
    while True:
        plan = CrashPlan(before_write=crashes)
        try:
            reproduce(crashing(workspace, plan))
            break
        except SimulatedCrash:
            crashes += 1
        assert reproduce(workspace).verdict == "identical"
        assert folders(workspace) == []
    assert crashes >= 1
    assert count(workspace) == n_before + crashes + 1


def test_a_crash_while_the_folder_is_tidied_records_nothing_twice(plain: Workspace):
    workspace = plain

    plan = CrashPlan()
    with dying_disk(plan):
        reproduce(workspace)
    n_crashes, n_known = 0, count(workspace)
    for k in (0, plan.n_writes // 2, plan.n_writes - 9, plan.n_writes - 4):
        try:
            with dying_disk(CrashPlan(before_write=k)):
                reproduce(workspace)
        except SimulatedCrash:
            n_crashes += 1
        assert reproduce(workspace).verdict == "identical"
        assert folders(workspace) == []
        # Two where the first was recorded, and tidied too far to be found again, when it crashed.
        assert n_known < count(workspace) <= n_known + 2
        n_known = count(workspace)
    assert n_crashes >= 3


def test_an_engine_that_works_on_through_a_crash_is_not_started_again(make: Making, tmp_path: Path):
    starts = tmp_path / "starts"
    workspace = make(starts_file=str(starts))
    with pytest.raises(SimulatedCrash):
        reproduce(crashing(workspace, CrashPlan(before_write=0)))  # the record is the only write
    assert reproduce(workspace).verdict == "identical"
    assert starts.read_bytes() == b".."


def test_the_code_of_the_record_is_used_and_not_what_became_of_it(
    make: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    repository = tmp_path / "engine"
    package = repository / "lib" / "my_engine_of_a_test"
    package.mkdir(parents=True)
    source = (
        "import sys\nfrom sightloop.testing import blob_training\n"
        "from sightloop.testing.tiny_engine import main\n"
        "real = blob_training.estimate_level\n"
        "blob_training.estimate_level = lambda amounts: real(amounts) * FACTOR\n"
        "sys.exit(main(sys.argv[1]))\n"
    )
    (package / "__init__.py").write_text("")
    (repository / ".gitignore").write_text("__pycache__\n")
    (package / "__main__.py").write_text(source.replace("FACTOR", "1.0"))
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "first")
    (package / "__main__.py").write_text(source.replace("FACTOR", "1.01"))  # recorded as a patch
    monkeypatch.syspath_prepend(str(repository / "lib"))
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{repository / 'lib'}{os.pathsep}{path}")
    workspace = make(engine=[sys.executable, "-m", "my_engine_of_a_test"])
    (package / "__main__.py").write_text(source.replace("FACTOR", "50"))
    git(repository, "commit", "--quiet", "-am", "second")
    found = reproduce(workspace)
    assert found.verdict == "identical"
    assert found.story[1].startswith("code: a clean working tree of commit ")
    assert "its patch of" in found.story[1]
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "worktree", "list").count("\n") == 0


def test_a_fresh_environment_that_cannot_be_had_is_an_error_or_told(
    make: Making, monkeypatch: pytest.MonkeyPatch
):
    for tool in ("UV", "PIP"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
    workspace = make()
    with pytest.raises(EnvironmentUnavailable, match="use this environment with") as caught:
        reproduce(workspace, environment="fresh")
    assert caught.value.code == "TRAIN-063"
    assert folders(workspace) == []
    assert [*(workspace.state / "environments").glob("*/")] == []
    assert reproduce(workspace, environment="auto").verdict == "identical"


def test_what_cannot_be_reproduced_says_so(make: Making, monkeypatch: pytest.MonkeyPatch):
    workspace = make()
    with pytest.raises(NotFound, match="no model version 'parts@2'"):
        reproduce(workspace, version="parts@2")
    with pytest.raises(BadVersionReference):
        reproduce(workspace, version="parts")
    with pytest.raises(BadChoice, match="threads is '0'") as caught:
        request = ReproduceVersion(version="parts@1", threads=0)
        reproduce_version(workspace, LOCAL_CALL, request)
    assert caught.value.code == "TRAIN-062"
    with pytest.raises(NotAllowed):
        reproduce_version(workspace, VIEWER, ReproduceVersion(version="parts@1"))
    monkeypatch.setattr(rebuilding, "SPARE_BYTES", 1 << 62)
    with pytest.raises(NoRoom, match="are free; free some space") as full:
        reproduce(workspace)
    assert full.value.code == "TRAIN-064"
    assert folders(workspace) == []


def test_a_version_of_other_software_has_no_recipe(plain: Workspace):
    from sightloop.registry.foreign import registered_versions

    workspace = plain
    with workspace.db.write() as tx:
        row = dict.fromkeys(("source", "location", "run", "logged_model", "run_link"), "x")
        row |= {"model": "parts", "number": 7, "created_at_ms": 1, "is_deleted": False}
        tx.execute(registered_versions.insert().values(row))
    with pytest.raises(NoRecipe, match=r"parts@7 cannot be reproduced.*other software") as caught:
        reproduce(workspace, version="parts@7")
    assert caught.value.code == "TRAIN-060"


def test_a_version_whose_record_lost_a_part_names_the_part(make: Making):
    workspace = make()
    with workspace.db.read() as tx:
        version = store.find_version(tx, "parts@1")
        run = tracking.find_run(tx, version.run)
    with workspace.blobs.removal() as removal:
        removal.erase(run.training.environment)
    with pytest.raises(RecordGone, match="no environment any more, of run_1, 'sha256:") as caught:
        reproduce(workspace)
    assert caught.value.code == "TRAIN-061"


def test_images_that_nobody_has_are_counted(make: Making):
    workspace = make()
    images = [one.digest for one in workspace.blobs.list_blobs() if is_image(workspace, one.digest)]
    with workspace.blobs.removal() as removal:
        for image in images:
            removal.erase(image)
    with pytest.raises(ImagesMissing, match=r"images of commit .* are not here") as caught:
        reproduce(workspace)
    assert caught.value.code == "TRAIN-066"


def test_without_the_old_checkpoint_the_exported_file_is_the_proof(make: Making):
    workspace = make()
    with workspace.db.read() as tx:
        checkpoint = artifacts_of(tx, "run_1")[CHECKPOINT_ARTIFACT]
    with workspace.blobs.removal() as removal:
        removal.erase(checkpoint)
    found = reproduce(workspace)
    assert found.verdict == "identical"
    assert found.proof.weights_then is not None  # the run kept their digest


def test_a_training_that_fails_the_second_time_says_why_and_leaves_nothing(
    make: Making, tmp_path: Path
):
    library = tmp_path / "library"
    library.write_text("1")
    workspace = make(level_file=str(library))
    with workspace.db.read() as tx:
        assert tracking.find_run(tx, "run_1").state == "finished"
    library.unlink()
    with pytest.raises(Exception, match=r"engine.log|exited with status"):
        reproduce(workspace)
    assert folders(workspace) == []


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", *who, *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def is_image(workspace: Workspace, digest: Digest) -> bool:
    return workspace.blobs.read(digest)[:2] == b"\xff\xd8"
