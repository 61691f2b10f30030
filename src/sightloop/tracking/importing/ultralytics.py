"""Importing folders that Ultralytics' trainings left: settings, metrics by epoch, weights, charts.

A folder is known again by its settings, which name it, and its name.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterator
from pathlib import Path

import yaml

from sightloop.kernel.errors import Refused
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking.errors import NothingToImport
from sightloop.tracking.importing.account import Account
from sightloop.tracking.importing.keeping import Found, Keeper, Kept, columns_of
from sightloop.tracking.importing.logged_files import files_below, name_below
from sightloop.tracking.importing.tensorboard import is_event_file

SETTINGS, RESULTS = "args.yaml", "results.csv"
_MAX_TEXT_BYTES = 64 << 20


def run_folders(root: Path) -> list[Path]:
    """Folders in or below the root that a training left."""
    return sorted({path.parent for path in files_below(root) if path.name == RESULTS})


def import_ultralytics(
    workspace: Workspace, call: Call, root: Path, experiment: str, account: Account
) -> None:
    """Import the run in the folder, or those below it.

    Raises:
        NothingToImport: there is no `results.csv`.
    """
    folders = run_folders(root)
    if not folders:
        raise NothingToImport(path=str(root), wanted=f"run folder of Ultralytics ({RESULTS})")
    for number, folder in enumerate(folders):
        call.progress("runs", number, len(folders))
        _import_folder(workspace, root, folder, experiment, account)
    call.progress("runs", len(folders), len(folders))


def _import_folder(
    workspace: Workspace, root: Path, folder: Path, experiment: str, account: Account
) -> None:
    source = str(folder.resolve())
    params = _settings(folder, account)
    settings = folder / SETTINGS
    begun = settings if settings.is_file() else folder / RESULTS
    found = Found(
        experiment=experiment
        or params.get("project", "").rpartition("/")[2]
        or root.resolve().name,
        name=name_below(folder, root),
        source=source,
        identities=[_identity(folder)],
        started_at_ms=round(begun.stat().st_mtime * 1000),
    )
    try:
        keeper = Keeper(workspace, account, found)
    except Refused as error:
        account.skip(source, "run", error.message)
        return
    keeper.label(params, {})
    last_ms = _import_results(keeper, folder / RESULTS)
    keeper.keep_files(_files(keeper, folder))
    keeper.end(ended_at_ms=last_ms)


def _identity(folder: Path) -> str:
    settings = folder / SETTINGS
    if not settings.is_file():
        return f"ultralytics:{folder.resolve()}"
    digest = hashlib.sha256(folder.resolve().name.encode() + b"\0" + settings.read_bytes())
    return f"ultralytics:{digest.hexdigest()}"


def _settings(folder: Path, account: Account) -> dict[str, str]:
    path = folder / SETTINGS
    if not path.is_file():
        account.skip(str(folder), SETTINGS, "it is not there, so no parameters are known")
        return {}
    try:
        found = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        account.skip(str(path), SETTINGS, f"it is no YAML: {str(error).splitlines()[0]}")
        return {}
    if not isinstance(found, dict):
        account.skip(str(path), SETTINGS, "it holds no settings")
        return {}
    return {str(key): str(value) for key, value in found.items()}


def _import_results(keeper: Keeper, path: Path) -> int | None:
    """Add each column as a metric; the time of the last row."""
    if path.stat().st_size > _MAX_TEXT_BYTES:
        keeper.skip(RESULTS, f"it has more than {_MAX_TEXT_BYTES:,} bytes")
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    rows = list(csv.reader(io.StringIO(text), skipinitialspace=True))
    names = [name.strip() for name in rows[0]] if rows else []
    if "epoch" not in names:
        keeper.skip(RESULTS, "it has no column `epoch`")
        return None
    points: dict[str, list[tuple[int, int, float]]] = {}
    last_ms = None
    for row in rows[1:]:
        cells = dict(zip(names, row, strict=False))
        step, elapsed_s = _number(cells.get("epoch", "")), _number(cells.get("time", "0"))
        if len(row) != len(names) or step is None or step != int(step):
            keeper.skip("row of results.csv", "it is not complete, or has no epoch")
            continue
        # From when the run began, not from when the file was changed: that moves as it grows.
        at_ms = keeper.started_at_ms + round((elapsed_s or 0) * 1000)
        last_ms = at_ms
        for name, cell in cells.items():
            value = _number(cell, finite=False)
            if name == "epoch" or not cell.strip():
                continue
            if value is None:
                keeper.skip("cell of results.csv", f"in column {name[:80]} stands no number")
                continue
            points.setdefault(name, []).append((int(step), at_ms, value))
    for name, found in points.items():
        keeper.add_points(name, columns_of(found))
    return last_ms


def _number(cell: str, *, finite: bool = True) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) or not finite else None


def _files(keeper: Keeper, folder: Path) -> Iterator[Kept]:
    """Everything in the folder but other runs below it, and TensorBoard's logs."""
    others = [other for other in run_folders(folder) if other != folder]
    for path in files_below(folder):
        if any(path.is_relative_to(other) for other in others):
            continue
        if is_event_file(path):
            keeper.skip("event file", "import it with --format tensorboard")
            continue
        yield Kept(path.relative_to(folder).as_posix(), path)
