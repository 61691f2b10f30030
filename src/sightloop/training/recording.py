"""How a run is written down: when its job starts, when it is done, when it failed.

Each of them is one transaction with its event. Blobs come first, so that a record never names
bytes that are not there.
"""

from __future__ import annotations

from pathlib import Path

from sightloop.contracts.job import (
    CHECKPOINT_ARTIFACT,
    MODEL_ARTIFACT,
    PARITY_ARTIFACT,
    DoneLine,
)
from sightloop.contracts.job_lines import read_job
from sightloop.kernel.actors import Actor
from sightloop.kernel.code_state import capture_code
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, canonical_json
from sightloop.kernel.environment import capture_environment, hardware_line, usable_cores
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import record_artifact
from sightloop.tracking.labels import set_tags
from sightloop.tracking.points import add_points, forget_points
from sightloop.tracking.values import CodeState, MetricPoint, Run, RunId, RunInputs, RunState
from sightloop.training import store
from sightloop.training.deliveries import check_parity_file, own_file
from sightloop.training.engines import Engine
from sightloop.training.errors import NotTheSameRun
from sightloop.training.folders import JobFolder
from sightloop.training.jobs import WEIGHTS_DIGEST
from sightloop.training.launcher import LOG_NAME
from sightloop.training.reasons import ExitReason
from sightloop.training.requests import TrainRequest, parameters_of
from sightloop.training.sources import find_sources
from sightloop.training.supervision import Ended
from sightloop.training.weights import keep_weights
from sightloop.training.weights_digest import weights_digest

RUN_STARTED = EventKind("run.started")
RUN_FINISHED = EventKind("run.finished")
RUN_FAILED = EventKind("run.failed")
TRAINED_WEIGHTS = "weights"
"""Under this output a run keeps the digest of what it learned: docs/formats/weights.md."""


def look_up_same_run(workspace: Workspace, request: TrainRequest, *, commit: Digest) -> Run | None:
    """The run this request asks for, if it was started before.

    Raises:
        NotTheSameRun: there is a run of that id, but made otherwise.
    """
    with workspace.db.read() as tx:
        known = tracking.look_up_run(tx, request.run)
    if known is None:
        return None
    recipe = {k: v for k, v in known.training.parameters.items() if k != WEIGHTS_DIGEST}
    asked = (commit, request.engine, request.seed, parameters_of(request))
    if asked != (known.training.dataset_commit, known.training.engine, known.training.seed, recipe):
        raise NotTheSameRun(run=request.run)
    return known


def record_start(
    workspace: Workspace, actor: Actor, request: TrainRequest, *, commit: Digest, engine: Engine
) -> Run:
    """A run whose job is about to start, for the first time or once more."""
    inputs = _capture_inputs(workspace, request, commit=commit, engine=engine)
    now_ms = workspace.clock.now_ms()
    with workspace.db.points.write() as points:
        forget_points(points, request.run)  # of an earlier attempt, which left no model
    with workspace.db.write() as tx:
        if tracking.look_up_run(tx, request.run) is None:
            run = tracking.start_run(
                tx,
                RunId(request.run),
                experiment=request.experiment,
                name=request.name,
                inputs=inputs,
                now_ms=now_ms,
            )
        else:
            run = tracking.restart_run(tx, request.run, inputs=inputs, now_ms=now_ms)
        set_tags(tx, run.id, request.tags)
        store.open_job(tx, run.id)
        _tell(tx, RUN_STARTED, run, by=actor, at_ms=now_ms)
    return run


def record_done(
    workspace: Workspace, actor: Actor, run: Run, *, folder: JobFolder, ended: Ended
) -> Run:
    """The finished run, with everything the engine delivered.

    Raises:
        ProtocolBroken: something it told of is missing, lies elsewhere or is not what it should be.
    """
    done = ended.told.last
    assert isinstance(done, DoneLine), "only a done line makes a job done"
    files = _delivered(folder, ended.told.artifacts, done)
    digests = _keep(workspace, files)
    outputs = {
        "model_file": digests[MODEL_ARTIFACT],
        "checkpoint": digests[CHECKPOINT_ARTIFACT],
        TRAINED_WEIGHTS: weights_digest(files[CHECKPOINT_ARTIFACT].read_bytes()),
        "declared_licence": done.declared_licence,
        "engine_version": done.engine_version,
        "peak_memory_bytes": str(ended.peak_memory_bytes),
    }
    outputs |= {f"details.{name}": str(value) for name, value in done.details.items()}
    return _record_end(
        workspace,
        actor,
        run,
        state="finished",
        reason=ExitReason.DONE,
        outputs=outputs,
        files=files,
        digests=digests,
        points=ended.unrecorded,
    )


def record_failure(
    workspace: Workspace,
    actor: Actor,
    run: Run,
    *,
    folder: JobFolder,
    reason: ExitReason,
    error: SightloopError,
    points: list[MetricPoint],
) -> Run:
    """The failed or cancelled run, with the engine's log and what went wrong."""
    files = {LOG_NAME: folder.log_file} if folder.log_file.exists() else {}
    return _record_end(
        workspace,
        actor,
        run,
        state="cancelled" if reason is ExitReason.CANCELLED else "failed",
        reason=reason,
        outputs={"error_code": error.code, "error": error.message},
        files=files,
        digests=_keep(workspace, files),
        points=points,
    )


def _record_end(
    workspace: Workspace,
    actor: Actor,
    run: Run,
    *,
    state: RunState,
    reason: ExitReason,
    outputs: dict[str, str],
    files: dict[str, Path],
    digests: dict[str, Digest],
    points: list[MetricPoint],
) -> Run:
    now_ms = workspace.clock.now_ms()
    with workspace.db.points.write() as points_tx:
        add_points(points_tx, run.id, points)
    with workspace.db.write() as tx:
        for name, path in files.items():
            size_bytes = path.stat().st_size
            record_artifact(tx, run.id, name, digest=digests[name], size_bytes=size_bytes)
        ended = tracking.finish_run(
            tx, run.id, state=state, outputs=outputs, exit_reason=reason.value, now_ms=now_ms
        )
        store.close_job(tx, run.id)
        kind = RUN_FINISHED if state == "finished" else RUN_FAILED
        _tell(tx, kind, ended, by=actor, at_ms=now_ms)
    return ended


def _capture_inputs(
    workspace: Workspace, request: TrainRequest, *, commit: Digest, engine: Engine
) -> RunInputs:
    sources = find_sources(engine)
    environment = capture_environment(sources=sources.packages)
    code = capture_code(sources.root or Path.cwd())
    kept_weights = keep_weights(workspace, request.weights)
    with workspace.blobs.batch() as batch:
        environment_digest = batch.put(canonical_json(environment))
        patch_digest = None if code.patch is None else batch.put(code.patch)
    parameters = parameters_of(request)
    if kept_weights is not None:
        parameters[WEIGHTS_DIGEST] = kept_weights
    return RunInputs(
        dataset_commit=commit,
        code=CodeState(commit=code.commit, patch=patch_digest, dirty=code.dirty),
        parameters=parameters,
        engine=engine.name,
        engine_version=engine.version,
        environment=environment_digest,
        seed=request.seed,
        threads=workspace.config.training.threads or usable_cores(),
        hardware=hardware_line(environment.hardware),
    )


def _delivered(folder: JobFolder, artifacts: dict[str, str], done: DoneLine) -> dict[str, Path]:
    """The files to keep by artifact name, each checked to be one and to be the engine's own."""
    told = artifacts | {MODEL_ARTIFACT: done.model_file, CHECKPOINT_ARTIFACT: done.checkpoint}
    files = {name: own_file(folder, file) for name, file in told.items()}
    if read_job(folder.job_file).parity_images:
        check_parity_file(files.get(PARITY_ARTIFACT), folder)
    if folder.log_file.exists():
        files.setdefault(LOG_NAME, folder.log_file)
    return files


def _keep(workspace: Workspace, files: dict[str, Path]) -> dict[str, Digest]:
    with workspace.blobs.batch() as batch:
        return {name: batch.put_file(path) for name, path in files.items()}


def _tell(tx: Tx, kind: EventKind, run: Run, *, by: Actor, at_ms: int) -> None:
    data = {
        "run": run.id,
        "experiment": run.experiment,
        "dataset_commit": run.training.dataset_commit,
        "attempt": run.attempts,
        "exit_reason": run.exit_reason,
    }
    tell(tx, kind, run.id, by=by, at_ms=at_ms, data=data)
