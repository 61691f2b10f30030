"""Files and folders as MLflow's clients read them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sightloop.tracking.uploading import ListedFile


def file_shapes(listed: Iterable[ListedFile], *, below: str = "") -> list[dict[str, Any]]:
    """Each file or folder, by its path below the folder `below`, which ends with a slash."""
    return [_shape(one, one.path.removeprefix(below)) for one in listed]


def _shape(one: ListedFile, path: str) -> dict[str, Any]:
    if one.size_bytes is None:
        return {"path": path, "is_dir": True}
    return {"path": path, "is_dir": False, "file_size": one.size_bytes}
