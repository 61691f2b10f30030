"""Importing what MLflow kept: the same run whether it lay in files or in a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from sightloop.kernel.errors import Refused
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking.importing.account import Account
from sightloop.tracking.importing.keeping import Found, Keeper, Kept
from sightloop.tracking.importing.logged_files import files_below
from sightloop.tracking.inputs import DatasetInput, add_datasets
from sightloop.tracking.points import MetricColumns
from sightloop.tracking.values import RunState

STATES: Mapping[str, RunState] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "cancelled",
}
MAX_FINITE = 1.7976931348623157e308
"""MLflow's databases hold an infinity as the greatest number there is."""


class MlflowRun(NamedTuple):
    """A run as MLflow kept it."""

    uuid: str
    experiment: str
    name: str
    user: str
    status: str
    started_at_ms: int
    ended_at_ms: int | None
    artifact_uri: str
    params: dict[str, str]
    tags: dict[str, str]
    datasets: list[DatasetInput]
    metrics: Iterable[tuple[str, MetricColumns]]
    """Read while it is gone through; a key may come several times."""


def import_runs_of(
    workspace: Workspace,
    call: Call,
    runs: Iterable[MlflowRun],
    *,
    n_runs: int,
    root: Path,
    experiment: str,
    account: Account,
) -> None:
    """Import the runs; `root` is the folder where relative artifacts would lie."""
    for number, run in enumerate(runs):
        call.progress("runs", number, n_runs)
        found = Found(
            experiment=experiment or run.experiment,
            name=run.name or run.tags.get("mlflow.runName", run.uuid),
            source=f"{root.resolve()}#{run.uuid}",
            identities=[f"mlflow:{run.uuid}"],
            started_at_ms=max(run.started_at_ms, 0),
            user=run.user,
        )
        try:
            keeper = Keeper(workspace, account, found)
        except Refused as error:
            account.skip(found.source, "run", error.message)
            continue
        _import(workspace, keeper, run, root)
    call.progress("runs", n_runs, n_runs)


def _import(workspace: Workspace, keeper: Keeper, run: MlflowRun, root: Path) -> None:
    keeper.label(run.params, run.tags)
    for key, columns in run.metrics:
        keeper.add_points(key, columns)
    if run.datasets:
        with workspace.db.write() as tx:
            add_datasets(tx, keeper.run, run.datasets)
    folder = _local_artifacts(run, root)
    if folder is not None:
        keeper.keep_files(_files(folder))
    elif run.artifact_uri:
        keeper.skip("artifacts", f"{run.artifact_uri} is not a folder on this machine")
    keeper.end(ended_at_ms=run.ended_at_ms, state=STATES.get(run.status, "finished"))


def _files(folder: Path) -> Iterator[Kept]:
    for path in files_below(folder):
        yield Kept(path.relative_to(folder).as_posix(), path)


def _local_artifacts(run: MlflowRun, root: Path) -> Path | None:
    """Where the run's artifacts lie; a store that was moved is looked for beside its root.

    Only a folder that is named after the run, as MLflow does: a store that somebody else wrote
    must not make us keep the files of another folder.
    """
    parts = urlsplit(run.artifact_uri)
    path = Path(unquote(parts.path))
    if run.uuid not in path.parts or ".." in path.parts:
        return None
    candidates = [path] if parts.scheme in ("file", "") else []
    place = path.parts.index(run.uuid)  # .../EXPERIMENT/RUN/artifacts
    tail = Path(*[part for part in path.parts[max(place - 1, 0) :] if part != path.anchor])
    candidates += [root / top / tail for top in ("", "mlruns", "mlartifacts")]
    return next((one for one in candidates if one.is_dir()), None)
