"""Importing runs: what the path holds, and then how it is read."""

from __future__ import annotations

from pathlib import Path

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking.errors import NothingToImport, UnreadableSource
from sightloop.tracking.importing.account import Account, Format, ImportedRuns, ImportRuns
from sightloop.tracking.importing.logged_files import files_below
from sightloop.tracking.importing.mlflow_database import MAGIC, import_database
from sightloop.tracking.importing.mlflow_files import import_file_store, is_file_store
from sightloop.tracking.importing.tensorboard import import_tensorboard, is_event_file
from sightloop.tracking.importing.ultralytics import RESULTS, import_ultralytics

_READERS = {
    "tensorboard": import_tensorboard,
    "mlruns": import_file_store,
    "mlflow": import_database,
    "ultralytics": import_ultralytics,
}
_DATABASE = "mlflow.db"
_STORE = "mlruns"


def import_runs(workspace: Workspace, call: Call, request: ImportRuns) -> ImportedRuns:
    """Add runs that others recorded, and tell to the last point what came of it.

    Run again, it adds what is new since.

    Raises:
        NotAllowed: the actor may not track.
        NotFound: there is no such folder or file.
        NothingToImport: it holds no runs.
        UnreadableSource: it holds what cannot be read.
        DiskFull: no room; what was imported before stays.
    """
    require(call.actor, Permission.TRAIN)
    path = Path(request.path)
    if not path.exists():
        raise NotFound(what="file or folder", name=request.path)
    kind = request.format or _format_of(path)
    account = Account()
    try:
        _READERS[kind](workspace, call, _inside(path, kind), request.experiment, account)
    except PermissionError as error:
        where = str(error.filename or path)
        raise UnreadableSource(path=where, problem="it may not be read") from error
    return account.closed(kind)


def _inside(path: Path, kind: Format) -> Path:
    """The part of the path that the reader wants."""
    if kind == "mlflow" and path.is_dir():
        return path / _DATABASE
    if kind == "mlruns" and (path / _STORE).is_dir() and not is_file_store(path):
        return path / _STORE
    if kind in ("mlruns", "ultralytics") and path.is_file():
        return path.parent
    return path


def _format_of(path: Path) -> Format:
    """What the folder or file looks like.

    Raises:
        NothingToImport: like nothing that can be imported.
    """
    if path.is_file():
        return _format_of_file(path)
    if (path / _DATABASE).is_file():
        return "mlflow"
    if is_file_store(path) or ((path / _STORE).is_dir() and is_file_store(path / _STORE)):
        return "mlruns"
    has_events = False
    for file in files_below(path):
        if file.name == RESULTS:
            return "ultralytics"
        has_events |= is_event_file(file)
    if has_events:
        return "tensorboard"
    raise NothingToImport(path=str(path), wanted="runs in a format that is known")


def _format_of_file(path: Path) -> Format:
    with path.open("rb") as file:
        begin = file.read(len(MAGIC))
    if begin == MAGIC:
        return "mlflow"
    if path.name == RESULTS:
        return "ultralytics"
    if is_event_file(path):
        return "tensorboard"
    raise NothingToImport(path=str(path), wanted="runs in a format that is known")
