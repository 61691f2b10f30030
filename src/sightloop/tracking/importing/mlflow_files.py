"""Reading MLflow's file stores: a folder `mlruns` with a folder for each experiment and run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking.errors import NothingToImport
from sightloop.tracking.importing.account import Account
from sightloop.tracking.importing.keeping import columns_of
from sightloop.tracking.importing.logged_files import files_below
from sightloop.tracking.importing.mlflow import MlflowRun, import_runs_of
from sightloop.tracking.inputs import Dataset, DatasetInput
from sightloop.tracking.points import MetricColumns

META = "meta.yaml"
_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_MAX_META_BYTES = 16 << 20
_Meta = dict[str, Any]


def is_file_store(root: Path) -> bool:
    """Whether experiments of MLflow lie in the folder."""
    return any("experiment_id" in _meta(path.parent) for path in root.glob(f"*/{META}"))


def import_file_store(
    workspace: Workspace, call: Call, root: Path, experiment: str, account: Account
) -> None:
    """Import every run of the store that is not deleted.

    Raises:
        NothingToImport: it has no runs.
    """
    n_runs = sum(1 for _ in root.glob(f"*/*/{META}"))
    if not n_runs:
        raise NothingToImport(path=str(root), wanted=f"run of MLflow (*/*/{META})")
    import_runs_of(
        workspace,
        call,
        _runs(root, account),
        n_runs=n_runs,
        root=root,
        experiment=experiment,
        account=account,
    )


def _runs(root: Path, account: Account) -> Iterator[MlflowRun]:
    for path in sorted(root.glob(f".trash/*/{META}")):
        account.skip(str(path.parent), "experiment", "it is deleted in MLflow")
    for folder in sorted(path.parent for path in root.glob(f"*/{META}")):
        name = str(_meta(folder).get("name") or folder.name)
        models = sum(1 for _ in folder.glob(f"models/*/{META}"))
        why = "logged models are not imported, the files of their runs are"
        account.skip(str(folder), "logged model", why, models)
        for meta_file in sorted(folder.glob(f"*/{META}")):
            meta = _meta(meta_file.parent)
            uuid = str(meta.get("run_id") or meta.get("run_uuid") or "")
            if meta_file.parent.name in ("datasets", "models"):
                continue
            if not uuid:
                account.skip(str(meta_file), "run", "its meta.yaml cannot be read")
            elif meta.get("lifecycle_stage", "active") != "active":
                account.skip(str(meta_file.parent), "run", "it is deleted in MLflow")
            else:
                yield _run(meta_file.parent, meta, uuid, name, account)


def _run(folder: Path, meta: _Meta, uuid: str, experiment: str, account: Account) -> MlflowRun:
    local = folder / "artifacts"
    status = meta.get("status")
    return MlflowRun(
        uuid=uuid,
        experiment=experiment,
        name=str(meta.get("run_name") or ""),
        user=str(meta.get("user_id") or ""),
        status=_STATUS.get(status, str(status)) if isinstance(status, int) else str(status),
        started_at_ms=_whole(meta.get("start_time")) or 0,
        ended_at_ms=_whole(meta.get("end_time")),
        artifact_uri=str(
            local if local.is_dir() and any(local.iterdir()) else meta.get("artifact_uri") or local
        ),
        params=_texts(folder / "params"),
        tags=_texts(folder / "tags"),
        datasets=list(_datasets(folder, account)),
        metrics=_metrics(folder / "metrics", account),
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _meta(folder: Path) -> _Meta:
    """What `meta.yaml` says; nothing where it cannot be read."""
    path = folder / META
    try:
        if path.stat().st_size > _MAX_META_BYTES:
            return {}
        found = yaml.load(path.read_bytes(), Loader=_LOADER)  # noqa: S506 - a safe loader
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in files_below(folder)
    }


def _metrics(folder: Path, account: Account) -> Iterator[tuple[str, MetricColumns]]:
    for path in files_below(folder):
        rows: list[tuple[int, int, float]] = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            parts = line.split()  # a time, a value, a step, and since MLflow 3 data set and model
            try:
                rows.append(
                    (int(parts[2]) if len(parts) > 2 else 0, int(parts[0]), float(parts[1]))
                )
            except (ValueError, IndexError):
                account.skip(str(path), "line of a metric", "it is not: time value step")
        try:
            columns = columns_of(rows)
        except OverflowError:
            account.skip(str(path), "points", "a step or time does not fit 64 bits", len(rows))
            continue
        yield path.relative_to(folder).as_posix(), columns


def _datasets(folder: Path, account: Account) -> Iterator[DatasetInput]:
    for path in sorted(folder.glob(f"inputs/*/{META}")):
        link = _meta(path.parent)
        facts = _meta(folder.parent / "datasets" / str(link.get("source_id")))
        if link.get("source_type") != "DATASET" or "name" not in facts:
            account.skip(str(path), "input", "the data set it names is not described")
            continue
        tags = link.get("tags") or {}
        yield DatasetInput(
            dataset=Dataset(
                name=str(facts["name"]),
                digest=str(facts.get("digest", "")),
                source_type=str(facts.get("source_type") or ""),
                source=str(facts.get("source") or ""),
                schema=str(facts.get("schema") or ""),
                profile=str(facts.get("profile") or ""),
            ),
            tags=[(str(key), str(value)) for key, value in tags.items()],
        )
