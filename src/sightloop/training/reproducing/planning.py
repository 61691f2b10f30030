"""What is decided before a run is trained again: its code, its interpreter, its command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from sightloop.kernel.code_state import capture_code
from sightloop.kernel.digests import short
from sightloop.kernel.environment import Environment, capture_environment
from sightloop.kernel.workspace import Call, Workspace
from sightloop.training.engines import Engine, find_engine
from sightloop.training.folders import JobFolder
from sightloop.training.reproducing.differences import changed_distributions
from sightloop.training.reproducing.environments import (
    Interpreter,
    build_environment,
    deciding_distributions,
)
from sightloop.training.reproducing.errors import EnvironmentUnavailable
from sightloop.training.reproducing.ingredients import Ingredients
from sightloop.training.reproducing.originals import Original
from sightloop.training.reproducing.requirements import normal_name
from sightloop.training.reproducing.working_trees import find_repository, make_working_tree
from sightloop.training.sources import find_sources

EnvironmentChoice = Literal["auto", "fresh", "this"]
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


def make_plan(
    workspace: Workspace,
    call: Call,
    original: Original,
    folder: JobFolder,
    choices: Choices,
    *,
    data: Ingredients,
) -> Plan:
    """Code laid out below `folder`, an interpreter chosen and made if need be, and the command.

    Raises:
        BlobMissing: the recorded patch is no longer in the store.
        PatchRefused: the recorded code cannot be laid out.
        EnvironmentUnavailable: a fresh environment was asked for and cannot be had.
        EngineUnknown: the engine is not installed here.
    """
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
    deciding = deciding_distributions(engine.version)
    ours = {normal_name(one) for one in original.environment.sources}
    return any(one not in ours and (deciding is None or one in deciding) for one in changed)


def _told_of_data(data: Ingredients) -> str:
    came = f", {data.n_fetched} of them fetched from remote {data.remote}" if data.n_fetched else ""
    return f"data: {data.n_images} images of the recorded commit{came}"
