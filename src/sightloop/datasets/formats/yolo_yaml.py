"""The YAML that describes a YOLO data set: where its splits are and what its classes are called.

Only read as text, lists and mappings: tags make no objects, nothing is downloaded or run, aliases
are refused (they can multiply a small file beyond any memory). Every value stays the text that its
author wrote, so that a class called `no` is not called `False`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sightloop.datasets.errors import NotYolo
from sightloop.datasets.formats.label_files import open_labels
from sightloop.datasets.formats.yolo_labels import TASKS, KeypointLayout, YoloTask
from sightloop.datasets.problems import Note, Problem
from sightloop.datasets.values import Split
from sightloop.kernel.errors import NotFound

MAX_BYTES = 1 << 20
"""A description beyond 1 MiB is something else; the one of ImageNet's 1,000 classes has 34 KB."""

_SPLITS: Mapping[str, Split] = {
    "train": "train",
    "val": "val",
    "validation": "val",
    "valid": "val",
    "test": "test",
}
AUDIT_COMMENT = "# audit:"
"""How the first line of a YAML of ours names the folder of images that no training may see.

A comment, so that no other tool takes it for a split.
"""

_NO_VALUE = ("", "~", "null", "None")
_KNOWN = {*_SPLITS, "path", "names", "nc", "kpt_shape", "kpt_names", "flip_idx", "task", "download"}


class DatasetFile(NamedTuple):
    """What the YAML says."""

    path: str
    """The data set's folder, as given; empty where it is that of the file."""
    splits: dict[Split, list[str]]
    """Folders, lists or images of each split."""
    names: dict[int, str] | None
    """Classes by index; None where the file does not name them."""
    keypoints: KeypointLayout | None
    keypoint_names: dict[int, Sequence[str]]
    task: YoloTask | None
    problems: list[Problem]
    notes: list[Note]


def is_dataset_yaml(path: Path) -> bool:
    """Whether a YAML file seems to describe a data set; quick, never fails."""
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    with open_labels(path) as file:
        start = b"\n" + file.read(MAX_BYTES)
    return b"\nnames:" in start or (b"\nnc:" in start and b"\ntrain:" in start)


def why_broken(path: Path) -> str:
    """Why a file that is called like a description cannot be read; empty where it can."""
    try:
        _load(path)
    except NotFound as error:
        return str(error.facts.get("hint") or error.message)
    except NotYolo as error:
        return str(error.facts["problem"])
    return ""


def read_dataset_yaml(path: Path, *, within: Path | None = None) -> DatasetFile:
    """Read the description; `within` is the folder out of which no symbolic link may lead.

    Raises:
        NotFound: there is no such file.
        NotYolo: it is no YAML, or not of this kind.
    """
    whole, audit = _load(path, within)
    problems: list[Problem] = []
    notes = [
        Note(kind="field_left_out", text=f"{key!r} is not kept", at=path.name)
        for key in sorted(whole.keys() - _KNOWN)
    ]
    if _given(whole, "download"):
        text = "'download' is not followed: what it names is neither fetched nor run"
        notes.append(Note(kind="field_left_out", text=text, at=path.name))
    if _given(whole, "flip_idx"):
        text = "'flip_idx' is not kept; exports work it out from names with left and right"
        notes.append(Note(kind="field_left_out", text=text, at=path.name))
    names = _names(whole, path, problems)
    return DatasetFile(
        path=str(whole.get("path") or "") if _given(whole, "path") else "",
        splits=_splits(whole, path) | audit,
        names=names,
        keypoints=_layout(whole, path),
        keypoint_names=_keypoint_names(whole),
        task=_task(whole),
        problems=problems,
        notes=notes,
    )


class _TextLoader(yaml.BaseLoader):
    """Every scalar is text, whatever its tag; no aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - yaml's own nodes
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"alias *{event.anchor} is not allowed", event.start_mark
            )
        return super().compose_node(parent, index)


def _load(path: Path, within: Path | None = None) -> tuple[dict[str, Any], dict[Split, list[str]]]:
    try:
        with open_labels(path, within=within) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise NotFound(what="file", name=str(path), hint=error.strerror or "") from error
    if len(content) > MAX_BYTES:
        raise NotYolo(file=str(path), problem=f"it has more than {MAX_BYTES} bytes")
    try:
        # A loader that makes nothing but texts, lists and mappings, not yaml.load's default.
        whole = yaml.load(content, _TextLoader)  # noqa: S506
    except (yaml.YAMLError, UnicodeError, RecursionError, ValueError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise NotYolo(file=str(path), problem=f"it is not YAML ({why})") from error
    if not isinstance(whole, dict) or not all(isinstance(key, str) for key in whole):
        raise NotYolo(file=str(path), problem="it holds no mapping of names to values")
    return whole, _audit(content)


def _audit(content: bytes) -> dict[Split, list[str]]:
    """Where images that are held back for audit lie, from the comment at the top that says it."""
    first = content.split(b"\n", 1)[0].decode("utf-8", "replace")
    if not first.startswith(AUDIT_COMMENT):
        return {}
    return {"audit": [first.removeprefix(AUDIT_COMMENT).strip()]}


def _given(whole: dict[str, Any], key: str) -> bool:
    return key in whole and whole[key] not in _NO_VALUE


def _splits(whole: dict[str, Any], path: Path) -> dict[Split, list[str]]:
    splits: dict[Split, list[str]] = {}
    for key, split in _SPLITS.items():
        if not _given(whole, key):
            continue
        value = whole[key]
        entries = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in entries):
            raise NotYolo(file=str(path), problem=f"{key!r} is neither a path nor a list of paths")
        splits.setdefault(split, []).extend(entries)
    return splits


def _names(whole: dict[str, Any], path: Path, problems: list[Problem]) -> dict[int, str] | None:
    n_classes = _count(whole, path)
    value = whole.get("names") if _given(whole, "names") else None
    if value is None:
        return None if n_classes is None else {i: f"class_{i}" for i in range(n_classes)}
    if isinstance(value, list):
        items: list[tuple[Any, Any]] = [(str(at), name) for at, name in enumerate(value)]
    elif isinstance(value, dict):
        items = list(value.items())
    else:
        raise NotYolo(file=str(path), problem="'names' is neither a list nor a mapping")
    names: dict[int, str] = {}
    seen: set[str] = set()
    for index, name in items:
        if not _is_index(index):
            raise NotYolo(file=str(path), problem=f"'names' has the index {index!r}")
        if not isinstance(name, str) or not name.strip():
            raise NotYolo(file=str(path), problem=f"'names' has no text for class {index}")
        if name in seen:
            text = f"'names' has {name!r} twice; class {index} is left out"
            problems.append(Problem(kind="duplicate_id", text=text, at=path.name))
            continue
        seen.add(name)
        names[int(index)] = name
    if n_classes is not None and n_classes != len(items):
        text = f"'nc' is {n_classes}, but 'names' has {len(items)}; the names count"
        problems.append(Problem(kind="disagreement", text=text, at=path.name))
    return dict(sorted(names.items()))


def _is_index(value: object) -> bool:
    return isinstance(value, str) and value.isdecimal() and len(value) < 9


def _count(whole: dict[str, Any], path: Path) -> int | None:
    if not _given(whole, "nc"):
        return None
    try:
        number = float(str(whole["nc"]))
    except ValueError:
        number = -1.0
    if not (0 <= number < 1_000_000 and number == int(number)):
        raise NotYolo(file=str(path), problem=f"'nc' is {whole['nc']!r}, not a number of classes")
    return int(number)


def _layout(whole: dict[str, Any], path: Path) -> KeypointLayout | None:
    if not _given(whole, "kpt_shape"):
        return None
    value = whole["kpt_shape"]
    fits = isinstance(value, list) and len(value) == 2 and all(map(_is_index, value))
    if not fits or not 1 <= int(value[0]) <= 10_000 or int(value[1]) not in (2, 3):
        raise NotYolo(
            file=str(path), problem=f"'kpt_shape' is {value!r}, not [number of points, 2 or 3]"
        )
    return KeypointLayout(int(value[0]), int(value[1]))


def _keypoint_names(whole: dict[str, Any]) -> dict[int, Sequence[str]]:
    value = whole.get("kpt_names")
    if not isinstance(value, dict):
        return {}
    return {
        int(index): names
        for index, names in value.items()
        if _is_index(index) and isinstance(names, list)
        if all(isinstance(one, str) for one in names)
    }


def _task(whole: dict[str, Any]) -> YoloTask | None:
    task = whole.get("task")
    return next((one for one in TASKS if one == task), None)
