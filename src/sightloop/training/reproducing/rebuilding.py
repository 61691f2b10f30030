"""One training again, in a scratch folder: prepared from the record, watched, and given back.

The folder's name is the reproduction's. A worker that finds a plan there goes on with it; when the
result has been compared and recorded, nothing is left.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from sightloop.contracts.decode import WrongFormat, decode
from sightloop.contracts.job import CHECKPOINT_ARTIFACT, DoneLine
from sightloop.datasets.views import check_view
from sightloop.kernel.blobs import BlobMissing
from sightloop.kernel.code_state import capture_code
from sightloop.kernel.digests import Digest, short
from sightloop.kernel.environment import Environment, capture_environment
from sightloop.kernel.files import write_atomic
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import store as tracking
from sightloop.tracking.artifacts import artifacts_of
from sightloop.tracking.values import Run
from sightloop.training.attempts import limits_of
from sightloop.training.deliveries import own_file
from sightloop.training.endings import error_of
from sightloop.training.engines import Engine, find_engine
from sightloop.training.folders import JobFolder
from sightloop.training.jobs import prepare_job, read_written_view, start_job
from sightloop.training.launcher import LOG_NAME
from sightloop.training.ledgers import NoLedger
from sightloop.training.process import JobProcess, find_process
from sightloop.training.reproducing.differences import (
    Difference,
    changed_distributions,
    find_differences,
)
from sightloop.training.reproducing.environments import (
    Interpreter,
    build_environment,
    deciding_distributions,
    drop_environment,
)
from sightloop.training.reproducing.errors import (
    BadChoice,
    EnvironmentUnavailable,
    NoRecipe,
    NoRoom,
    RecordGone,
)
from sightloop.training.reproducing.facts import (
    Facts,
    facts_of,
    numerics_in,
    operators_without_determinism,
    resumed_at,
)
from sightloop.training.reproducing.ingredients import Ingredients, gather
from sightloop.training.reproducing.recipes import request_of
from sightloop.training.reproducing.requirements import normal_name
from sightloop.training.reproducing.working_trees import find_repository, make_working_tree
from sightloop.training.sources import find_sources
from sightloop.training.supervision import Ended, Supervision
from sightloop.training.weights_digest import TensorFacts, read_tensors, weights_digest

EnvironmentChoice = Literal["auto", "fresh", "this"]
SPARE_BYTES = 256 << 20
"""Beside the images: checkpoints, charts, label files, and what a disk should never lack."""
_PLAN = "plan.json"
_CODE = "code"


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """How to train again, where the record leaves a choice."""

    environment: EnvironmentChoice = "auto"
    keep_environment: bool = False
    remote: str = ""
    code: str = ""
    """A folder of the repository that has the recorded commit; "" looks around here."""
    threads: int | None = None
    """Instead of the recorded number, to see what it does; None for the recorded one."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided before the engine was started; written down, so that it holds after a crash.

    `story` says in sentences what was used.
    """

    reproduction: str
    run: str
    choices: Choices
    command: list[str]
    variables: dict[str, str]
    environment: Environment
    interpreter: str
    """Of a fresh environment; "" when it is this one."""
    code: str
    threads: int
    story: list[str]
    n_erased_then: int
    n_erased_now: int
    started_at_ms: int


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


class Original(NamedTuple):
    """The run that is repeated, with what is kept of it."""

    run: Run
    environment: Environment
    log: str
    checkpoint: bytes | None
    """None when the store no longer has it."""


def read_original(workspace: Workspace, run_id: str) -> Original:
    """What the record says of a run.

    Raises:
        RunUnknown: there is no such run.
        NoRecipe: Sightloop did not train it, or it did not finish.
        RecordGone: its environment is no longer in the store.
    """
    with workspace.db.read() as tx:
        run = tracking.find_run(tx, run_id)
        artifacts = artifacts_of(tx, run_id)
    if run.inputs is None:
        raise NoRecipe(what=f"run {run.id}", why="somebody else's code trained and only told of it")
    if run.state != "finished":
        raise NoRecipe(what=f"run {run.id}", why=f"it is {run.state}")
    try:
        content = workspace.blobs.read(run.inputs.environment)
        environment = decode(content, Environment, what=f"environment of {run.id}")
    except (BlobMissing, WrongFormat) as error:
        raise RecordGone(what="environment", name=run.inputs.environment, of=run.id) from error
    return Original(
        run=run,
        environment=environment,
        log=_read(workspace, artifacts.get(LOG_NAME)).decode(errors="replace"),
        checkpoint=_read(workspace, artifacts.get(CHECKPOINT_ARTIFACT)) or None,
    )


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
    plan = _plan(workspace, call, original, folder, choices, data=data)
    write_atomic(folder.root / _PLAN, msgspec.json.encode(plan))
    engine = Engine(name=run.training.engine, command=plan.command, version="")
    return plan, start_job(workspace, folder, engine, variables=plan.variables)


def _plan(
    workspace: Workspace,
    call: Call,
    original: Original,
    folder: JobFolder,
    choices: Choices,
    *,
    data: Ingredients,
) -> Plan:
    run = original.run
    engine = find_engine(run.training.engine, workspace.config.training)
    code = _lay_out_code(workspace, original, engine, folder.root / _CODE, choices)
    fresh, words = _choose_environment(workspace, call, original, engine, choices)
    variables = {"PYTHONPATH": os.pathsep.join(code.paths)} if code.paths else {}
    if fresh is None:
        environment = capture_environment(sources=code.packages)
        if code.paths and (path := os.environ.get("PYTHONPATH")):
            variables["PYTHONPATH"] += os.pathsep + path
        command = engine.command
    else:
        environment = capture_environment(
            sources=code.packages, packages=fresh.packages, python_version=fresh.version
        )
        variables = {"PYTHONPATH": "", "VIRTUAL_ENV": str(fresh.python.parents[1])} | variables
        command = [str(fresh.python) if one == sys.executable else one for one in engine.command]
    ended_at_ms = run.ended_at_ms or run.started_at_ms
    return Plan(
        reproduction=workspace.ids.new("reproduction"),
        run=run.id,
        choices=choices,
        command=command,
        variables=variables,
        environment=environment,
        interpreter="" if fresh is None else str(fresh.python),
        code=code.commit,
        threads=choices.threads or run.training.threads,
        story=[_told_of_data(data), code.words, words],
        n_erased_then=sum(at_ms <= ended_at_ms for at_ms in data.erased_at_ms),
        n_erased_now=len(data.erased_at_ms),
        started_at_ms=workspace.clock.now_ms(),
    )


class _Code(NamedTuple):
    commit: str
    paths: list[str]
    packages: dict[str, str]
    words: str


def _lay_out_code(
    workspace: Workspace, original: Original, engine: Engine, folder: Path, choices: Choices
) -> _Code:
    recorded, packages = original.run.training.code, original.environment.sources
    here = find_sources(engine)
    if not packages or recorded.commit is None:
        words = "code: the engine ran as installed packages, no code of a checkout took part"
        if here.packages:
            words += "; here it runs from a checkout"
        return _Code(_commit_of(here.root), [], here.packages, words)
    places = [Path(choices.code) if choices.code else None, here.root, Path.cwd()]
    repository = find_repository(recorded.commit, places)
    if repository is None:
        words = (
            f"code: no repository here has commit {short(recorded.commit)}, so what is there now "
            "was used; name one that has it with --code"
        )
        return _Code(_commit_of(here.root), [], here.packages, words)
    patch = None if recorded.patch is None else workspace.blobs.read(recorded.patch)
    make_working_tree(repository, recorded.commit, patch=patch, folder=folder)
    paths = [str(folder / path) for path in dict.fromkeys(packages.values())]
    patched = f" and its patch of {len(patch)} bytes" if patch else ""
    words = f"code: a clean working tree of commit {recorded.commit[:12]}{patched}"
    return _Code(recorded.commit, paths, packages, words)


def _commit_of(root: Path | None) -> str:
    return "" if root is None else capture_code(root).commit or ""


def _choose_environment(
    workspace: Workspace, call: Call, original: Original, engine: Engine, choices: Choices
) -> tuple[Interpreter | None, str]:
    """A fresh interpreter, or None for this one, and a sentence that says which and why."""
    n = len(original.environment.distributions)
    if choices.environment == "this":
        return None, "environment: this one, as was asked for"
    if choices.environment == "auto" and not _packages_differ(original, engine):
        return (
            None,
            "environment: this one; every package the engine needs has its recorded version",
        )
    try:
        fresh = build_environment(
            original.environment,
            cache=workspace.state / "environments",
            without=original.environment.sources,
            progress=call.progress,
        )
    except EnvironmentUnavailable as error:
        if choices.environment == "fresh":
            raise
        return None, f"environment: this one, because the recorded one was not to be had ({error})"
    return fresh, f"environment: a fresh one with {n} recorded packages, built by {fresh.built_by}"


def _packages_differ(original: Original, engine: Engine) -> bool:
    here = capture_environment()
    changed = changed_distributions(original.environment.distributions, here.distributions)
    deciding = _deciding(engine)
    ours = {normal_name(one) for one in original.environment.sources}
    return any(one not in ours and (deciding is None or one in deciding) for one in changed)


def _deciding(engine: Engine) -> set[str] | None:
    distribution = engine.version.partition(" ")[0]
    return deciding_distributions(distribution) if distribution else None


def _require_room(folder: Path, data: Ingredients) -> None:
    needed = data.size_bytes + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(folder=str(folder), needed_bytes=needed, free_bytes=free)


def _told_of_data(data: Ingredients) -> str:
    came = f", {data.n_fetched} of them fetched from remote {data.remote}" if data.n_fetched else ""
    return f"data: {data.n_images} images of the recorded commit{came}"


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
            deciding=_deciding_of(original),
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


def _deciding_of(original: Original) -> set[str] | None:
    distribution = original.run.training.engine_version.partition(" ")[0]
    return deciding_distributions(distribution) if distribution else None


def _read(workspace: Workspace, digest: Digest | None) -> bytes:
    try:
        return b"" if digest is None else workspace.blobs.read(digest)
    except BlobMissing:
        return b""  # the proof says what could not be compared
