"""One training again, in a scratch folder: prepared from the record, watched, and given back.

The folder's name is the reproduction's. A worker that finds a plan there goes on with it; when the
result has been compared and recorded, nothing is left.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.contracts.job import DoneLine
from sightloop.datasets.views import check_view
from sightloop.kernel.environment import Environment
from sightloop.kernel.files import write_atomic
from sightloop.kernel.workspace import Call, Workspace
from sightloop.training.attempts import limits_of
from sightloop.training.deliveries import own_file
from sightloop.training.endings import error_of
from sightloop.training.engines import Engine
from sightloop.training.folders import JobFolder
from sightloop.training.jobs import prepare_job, read_written_view, start_job
from sightloop.training.ledgers import NoLedger
from sightloop.training.process import JobProcess, find_process
from sightloop.training.reproducing.differences import Difference, find_differences
from sightloop.training.reproducing.environments import (
    Interpreter,
    deciding_distributions,
    drop_environment,
)
from sightloop.training.reproducing.errors import BadChoice, NoRoom
from sightloop.training.reproducing.facts import (
    Facts,
    facts_of,
    numerics_in,
    operators_without_determinism,
    resumed_at,
)
from sightloop.training.reproducing.ingredients import Ingredients, gather
from sightloop.training.reproducing.originals import Original
from sightloop.training.reproducing.planning import Choices, Plan, make_plan
from sightloop.training.reproducing.recipes import request_of
from sightloop.training.reproducing.requirements import normal_name
from sightloop.training.supervision import Ended, Supervision
from sightloop.training.weights_digest import TensorFacts, read_tensors, weights_digest

SPARE_BYTES = 256 << 20
"""Beside the images: checkpoints, charts, label files, and what a disk should never lack."""
_PLAN = "plan.json"


class Rebuilt(NamedTuple):
    """The second training, still on the disk while it is looked at."""

    reproduction: str
    model_file: Path
    tensors: list[TensorFacts] | None
    weights: str
    story: list[str]
    differences: list[Difference]
    started_at_ms: int
    is_fresh: bool


@contextmanager
def rebuilt(
    workspace: Workspace, call: Call, original: Original, folder: JobFolder, choices: Choices
) -> Iterator[Rebuilt]:
    """The result of training again, inside the block; afterwards the folder is empty.

    The caller holds the folder. A block that raises leaves it as it is: what was trained is then
    found by the next call, unless the training itself failed.

    Raises:
        BadChoice: the choices cannot be meant.
        RecordGone, ImagesMissing: something to train from is gone.
        EnvironmentUnavailable: a fresh environment was asked for and cannot be had.
        PatchRefused: the recorded code cannot be laid out.
        NoRoom: the disk is too small.
        EngineUnknown: the engine is not installed here.
        JobFailed, JobCrashed, JobHung, TimeLimitReached, OutOfMemory: as when training.
    """
    if choices.threads is not None and not 1 <= choices.threads <= 1024:
        problem = "it must lie between 1 and 1024"
        raise BadChoice(field="threads", value=str(choices.threads), problem=problem)
    plan, process = _find_plan(folder, original, choices)
    try:
        if plan is None or process is None:
            folder.clear()
            plan, process = _begin(workspace, call, original, folder, choices)
        ended = _watch(workspace, call, folder, process)
        failure = error_of(
            ended.ending,
            run=f"{original.run.id} (again)",
            last=ended.told.last,
            limits=limits_of(workspace),
            peak_memory_bytes=ended.peak_memory_bytes,
            log=folder.log_tail(),
        )
        if failure is not None:
            raise failure
        check_view(workspace, read_written_view(folder))
    except (Exception, KeyboardInterrupt):
        folder.clear()  # the engine too, when a person gave up waiting
        raise
    yield _result(folder, original, plan, ended)
    folder.clear()
    if plan.interpreter and not choices.keep_environment:
        drop_environment(Interpreter(Path(plan.interpreter), Path(), "", ""))


def _find_plan(
    folder: JobFolder, original: Original, choices: Choices
) -> tuple[Plan | None, JobProcess | None]:
    """What an interrupted call of the same wish left: its plan and its engine."""
    try:
        plan = msgspec.json.decode((folder.root / _PLAN).read_bytes(), type=Plan)
    except (FileNotFoundError, msgspec.DecodeError):
        return None, None
    if plan.run != original.run.id or plan.choices != choices:
        return None, None
    return plan, find_process(folder.root)


def _begin(
    workspace: Workspace, call: Call, original: Original, folder: JobFolder, choices: Choices
) -> tuple[Plan, JobProcess]:
    run = original.run
    data = gather(workspace, call, run.training.dataset_commit, remote=choices.remote)
    _require_room(folder.root, data)
    request = request_of(run)
    threads = choices.threads or run.training.threads
    again = msgspec.structs.replace(
        run, inputs=msgspec.structs.replace(run.training, threads=threads)
    )
    prepare_job(workspace, folder, request, run=again, progress=call.progress)
    plan = make_plan(workspace, call, original, folder, choices, data=data)
    write_atomic(folder.root / _PLAN, msgspec.json.encode(plan))
    engine = Engine(name=run.training.engine, command=plan.command, version="")
    return plan, start_job(workspace, folder, engine, variables=plan.variables)


def _require_room(folder: Path, data: Ingredients) -> None:
    needed = data.size_bytes + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(folder=str(folder), needed_bytes=needed, free_bytes=free)


def _watch(workspace: Workspace, call: Call, folder: JobFolder, process: JobProcess) -> Ended:
    supervision = Supervision(
        workspace,
        folder,
        process,
        ledger=NoLedger(),
        limits=limits_of(workspace),
        progress=call.progress,
    )
    return supervision.until_end(lambda: False)


def _result(folder: JobFolder, original: Original, plan: Plan, ended: Ended) -> Rebuilt:
    done = ended.told.last
    assert isinstance(done, DoneLine), "only a done line makes a job done"
    then = facts_of(original.run, original.environment, log=original.log)
    now = _facts_now(folder, original, plan, done)
    checkpoint = own_file(folder, done.checkpoint).read_bytes()
    return Rebuilt(
        reproduction=plan.reproduction,
        model_file=own_file(folder, done.model_file),
        tensors=read_tensors(checkpoint),
        weights=weights_digest(checkpoint),
        story=plan.story,
        differences=find_differences(
            msgspec.structs.replace(then, n_erased=plan.n_erased_then),
            now,
            deciding=deciding_distributions(original.run.training.engine_version),
        ),
        started_at_ms=plan.started_at_ms,
        is_fresh=bool(plan.interpreter),
    )


def _facts_now(folder: JobFolder, original: Original, plan: Plan, done: DoneLine) -> Facts:
    details = {name: str(value) for name, value in done.details.items()}
    environment, training = plan.environment, original.run.training
    log = folder.log_file.read_text(errors="replace") if folder.log_file.exists() else ""
    return Facts(
        python=environment.python,
        system=environment.system,
        cpu=environment.hardware.cpu,
        instructions=environment.hardware.instructions,
        gpus=environment.hardware.gpus,
        threads=plan.threads,
        seed=training.seed,
        engine=_engine_now(training.engine, training.engine_version, environment),
        engine_version=done.engine_version,
        distributions=environment.distributions,
        contents=environment.contents,
        code=plan.code,
        lost_changes=False,
        numerics=numerics_in(details),
        attempts=1,
        resumed_at_epoch=resumed_at(details.get("resumed_at_epoch", "")),
        nondeterministic=operators_without_determinism(log),
        n_erased=plan.n_erased_now,
    )


def _engine_now(name: str, then: str, environment: Environment) -> str:
    """Name and distribution, as `Facts.engine` has them."""
    distribution = then.partition(" ")[0]
    versions = {normal_name(one): version for one, version in environment.distributions.items()}
    version = versions.get(normal_name(distribution), "")
    if not version and distribution in {one.replace("_", "-") for one in environment.sources}:
        return f"{name} {then}"  # from the recorded checkout, which needs no installation
    return f"{name} {distribution} {version}".strip()
