"""Writing YOLO: a YAML, images and labels in a folder for each split, as Ultralytics reads them.

Images held back for audit lie in `images/audit/`, which the YAML names in a comment only;
quarantined ones are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from sightloop.datasets.formats.file_names import FileNames
from sightloop.datasets.formats.left_behind import classes_left_behind, left_behind
from sightloop.datasets.formats.yolo_files import is_image_name, label_path
from sightloop.datasets.formats.yolo_labels import KeypointLayout, YoloTask
from sightloop.datasets.formats.yolo_rows import (
    YoloRow,
    n_digits_for,
    row_of,
    task_of,
    true_objects,
    written,
)
from sightloop.datasets.formats.yolo_yaml import AUDIT_COMMENT
from sightloop.datasets.geometry import KeypointsPx, SizePx, WholeImage
from sightloop.datasets.media import extension_of
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.splits import split_of
from sightloop.datasets.taxonomy import FoundClass
from sightloop.datasets.truths import CROWD, class_indices, is_true
from sightloop.datasets.values import Annotation, Sample, Split, Taxonomy

YAML_NAME = "data.yaml"
_KEEPS = frozenset({"reservation"})
_AUDIT = (
    f"{AUDIT_COMMENT} images/audit\n"
    "# These images were drawn at random and are held back: what a model scores on them says how\n"
    "# good it is, as long as it was never trained or tuned on them.\n"
)


class Plan(NamedTuple):
    """What all labels of a data set have in common."""

    task: YoloTask
    layout: KeypointLayout | None = None
    """Of pose labels."""


def plan_of(samples: Iterable[Sample], task: YoloTask | None) -> Plan:
    """The task, which is the one given or the one that keeps most, and its number of keypoints."""
    most = 0

    def watched() -> Iterator[Sample]:
        nonlocal most
        for sample in samples:
            for one in true_objects(sample):
                if isinstance(one.geometry, KeypointsPx):
                    most = max(most, len(one.geometry.points) // 3)
            yield sample

    told = task_of(watched())
    return Plan(task or told, KeypointLayout(max(most, 1), 3))


class YoloWriter:
    """Writes images and labels, sample by sample; see `writers.Writer`."""

    def __init__(self, record: CommitRecord, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._plan = plan
        self._taxonomy = record.taxonomy
        self._rule = record.split_rule
        self._indices = class_indices(record.taxonomy.class_ids)
        self._names = FileNames(stems=True)
        self._splits: set[Split] = {"train", "val"}
        self.n_annotations = 0
        self.not_kept: Counter[str] = Counter(lost_of_classes(record.taxonomy))

    def add(self, sample: Sample) -> str | None:
        """Take the sample in; see `writers.Writer.add`."""
        split = split_of(sample, self._rule)
        if split is None:
            self.not_kept["quarantine"] += 1
            return None
        self._splits.add(split)
        inside = sample.file_name.removeprefix(f"{split}/")
        wanted = f"{split}/{with_image_suffix(inside, sample.media_type)}"
        name = self._names.name_for(sample, wanted)
        if not name.startswith(f"{split}/"):
            name = f"{split}/{name}"
        self.not_kept.update(left_behind(sample, self._taxonomy, file_name=name, keeps=_KEEPS))
        path = self._folder / label_path(f"images/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(self._lines(sample)), encoding="utf-8")
        return f"images/{name}"

    def finish(self) -> None:
        """Write the YAML."""
        for split in self._splits:
            (self._folder / "images" / split).mkdir(parents=True, exist_ok=True)
            (self._folder / "labels" / split).mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(self._description(), sort_keys=False, allow_unicode=True)
        audit = _AUDIT if "audit" in self._splits else ""
        self.source().write_text(audit + text, encoding="utf-8")

    def images_folder(self) -> Path:
        """The folder of the split folders."""
        return self._folder / "images"

    def source(self) -> Path:
        """The YAML."""
        return self._folder / YAML_NAME

    def _lines(self, sample: Sample) -> Iterator[str]:
        size = SizePx(sample.width_px, sample.height_px)
        n_digits = n_digits_for(size)
        for one in kept_objects(sample, self.not_kept):
            if isinstance(one.geometry, WholeImage):
                self.not_kept["class of a whole image"] += 1
                continue
            row = row_of(one.geometry, self._plan.task, size, self._plan.layout)
            self.not_kept.update(row.lost)
            self.n_annotations += 1
            numbers = [written(number, n_digits) for number in row.numbers]
            yield " ".join([str(self._indices[one.class_id]), *numbers]) + "\n"

    def _description(self) -> dict[str, Any]:
        splits: dict[str, str] = {
            split: f"images/{split}" for split in ("train", "val", "test") if split in self._splits
        }
        # No `path`: splits count from the YAML's own folder, wherever it is moved to.
        described: dict[str, Any] = {**splits, "task": self._plan.task}
        described["names"] = dict(enumerate(self._taxonomy.class_names))
        if self._plan.task == "pose" and self._plan.layout is not None:
            described |= keypoint_fields(self._taxonomy, self._plan.layout)
        return described


class ClassFolderWriter:
    """Puts images into a folder for each class, sample by sample; see `writers.Writer`."""

    def __init__(self, record: CommitRecord, folder: Path, plan: Plan) -> None:
        assert plan.task == "classify", "other tasks have labels"
        self._folder = folder
        self._taxonomy = record.taxonomy
        self._rule = record.split_rule
        self._folders = _class_folders(record.taxonomy)
        self._names = FileNames()
        self._splits: set[Split] = {"train", "val"}
        self.n_annotations = 0
        found = [FoundClass(one) for one in sorted(self._folders.values())]
        self.not_kept: Counter[str] = Counter(
            [*_facts_of_classes(record.taxonomy), *classes_left_behind(record.taxonomy, found)]
        )

    def add(self, sample: Sample) -> str | None:
        """Take the sample in; see `writers.Writer.add`."""
        split = split_of(sample, self._rule)
        if split is None:
            self.not_kept["quarantine"] += 1
            return None
        classes: list[str] = []
        for one in kept_objects(sample, self.not_kept):
            if isinstance(one.geometry, WholeImage):
                classes.append(self._folders[one.class_id])
            else:
                self.not_kept["object with a place"] += 1
        if not classes:
            self.not_kept["image without a class"] += 1
            return None
        self._splits.add(split)
        self.not_kept["second class of an image"] += len(classes) - 1
        self.n_annotations += 1
        folder = f"{split}/{min(classes)}"
        inside = sample.file_name.removeprefix(f"{folder}/")
        wanted = f"{folder}/{with_image_suffix(inside, sample.media_type)}"
        name = self._names.name_for(sample, wanted)
        if not name.startswith(f"{folder}/"):
            name = f"{folder}/{name}"
        self.not_kept.update(left_behind(sample, self._taxonomy, file_name=name, keeps=_KEEPS))
        return name

    def finish(self) -> None:
        """Make a folder for every class in every split: loaders number classes by their folders."""
        for split in self._splits:
            for name in self._folders.values():
                (self._folder / split / name).mkdir(parents=True, exist_ok=True)
        self.not_kept = +self.not_kept

    def images_folder(self) -> Path:
        """The folder of the split folders."""
        return self._folder

    def source(self) -> Path:
        """The same."""
        return self._folder


def kept_objects(sample: Sample, not_kept: Counter[str]) -> list[Annotation]:
    """The objects that make labels; counts what of them, and which others, have no place."""
    objects = true_objects(sample)
    n_crowds = sum(is_true(one) for one in sample.annotations) - len(objects)
    if n_crowds:
        not_kept[CROWD] += n_crowds
    for one in objects:
        not_kept.update(f"attribute {key!r}" for key in one.attributes)
    return objects


def with_image_suffix(name: str, media_type: str) -> str:
    """The name, such that it is taken for an image's."""
    last = PurePosixPath(name).name
    fits = is_image_name(last) and not any(part.startswith(".") for part in name.split("/"))
    return name if fits else f"{name.replace('/.', '/_').lstrip('.')}.{extension_of(media_type)}"


def keypoint_fields(taxonomy: Taxonomy, layout: KeypointLayout) -> dict[str, Any]:
    """What the YAML says of keypoints: their number, names, and what a mirrored one becomes."""
    fields: dict[str, Any] = {"kpt_shape": [layout.n_points, layout.n_numbers]}
    named = {
        index: list(one.keypoints)
        for index, one in enumerate(taxonomy.classes)
        if len(one.keypoints) == layout.n_points
    }
    if not named:
        return fields
    flips = {tuple(_mirrored(names)) for names in named.values()}
    if len(flips) == 1:
        fields["flip_idx"] = list(flips.pop())
    return {**fields, "kpt_names": named}


def _mirrored(names: Sequence[str]) -> list[int]:
    """For each point the one it becomes in a mirrored image, told from left and right in names."""
    places = {name: place for place, name in enumerate(names)}
    mirrored = []
    for place, name in enumerate(names):
        other = name
        for one, two in (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT")):
            if one in name or two in name:
                other = name.replace(one, "\0").replace(two, one).replace("\0", two)
        mirrored.append(places.get(other, place))
    return mirrored


def lost_of_classes(taxonomy: Taxonomy) -> list[str]:
    """What the classes lose."""
    found = [FoundClass(name) for name in taxonomy.class_names]
    return [*_facts_of_classes(taxonomy), *classes_left_behind(taxonomy, found)]


def _facts_of_classes(taxonomy: Taxonomy) -> Iterator[str]:
    for one in taxonomy.classes:
        if one.supercategory:
            yield "supercategory of a class"
        if one.skeleton:
            yield "skeleton of a class"


def _class_folders(taxonomy: Taxonomy) -> dict[str, str]:
    """A folder's name for each class: its own name where that can be one."""
    folders: dict[str, str] = {}
    for one in taxonomy.classes:
        plain = one.name.strip() == one.name and not set(one.name) & set("/\\\0:")
        fits = plain and not one.name.startswith(".") and 0 < len(one.name.encode()) < 200
        name = one.name if fits else one.id
        folders[one.id] = name if name not in folders.values() else one.id
    return folders


def label_row(row: YoloRow, n_digits: int) -> list[float]:
    """The numbers of a row, rounded to what is needed."""
    return [round(number, n_digits) for number in row.numbers]
