"""Writing Pascal VOC: an XML file per image, lists of images per split; see `voc`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sightloop.datasets.formats.left_behind import left_behind
from sightloop.datasets.formats.plain_texts import is_writable, number_text, survives, text_of
from sightloop.datasets.formats.safe_names import SafeNames
from sightloop.datasets.formats.voc import (
    ANNOTATIONS_NAME,
    CLASSES_NAME,
    FLAGS,
    IMAGES_NAME,
    NO_POSE,
    POSE,
    SETS_NAME,
)
from sightloop.datasets.formats.xml_writing import tag
from sightloop.datasets.geometry import BoxPx, OrientedBoxPx, bounds_of
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.splits import split_of
from sightloop.datasets.truths import is_true
from sightloop.datasets.values import Annotation, AttributeValue, Sample

SPLIT_KEY = "split_key"
"""The element in which an export keeps split keys."""

_ELEMENT = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_TAKEN = {"filename", "path", "source", "owner", "size", "segmented", "object", SPLIT_KEY}
_LISTS = ("train", "val", "trainval", "test")


class VocWriter:
    """Writes annotation files as samples come; see `writers.Writer`."""

    def __init__(self, record: CommitRecord, folder: Path) -> None:
        self._folder = folder
        self._rule = record.split_rule
        self._taxonomy = record.taxonomy
        self._names = {one.id: one.name for one in record.taxonomy.classes}
        self._files = SafeNames(by_stem=True)
        self._lists: dict[str, list[str]] = {name: [] for name in _LISTS}
        self._n_annotations = 0
        self.not_kept: Counter[str] = Counter()
        for one in record.taxonomy.classes:
            self.not_kept["supercategory"] += bool(one.supercategory)
            self.not_kept["name of a class"] += not _is_line(one.name)

    @property
    def n_annotations(self) -> int:
        """Annotations so far."""
        return self._n_annotations

    def add(self, sample: Sample) -> str:
        """Take the sample in; see `writers.Writer.add`."""
        name = self._files.name_for(sample)
        stem = PurePosixPath(name).with_suffix("").as_posix()
        self._count_what_is_lost(sample, name)
        self._list(sample, stem)
        if is_labelled(sample):
            path = self._folder / ANNOTATIONS_NAME / f"{stem}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._annotation(sample, name), encoding="utf-8", newline="")
        return f"{IMAGES_NAME}/{name}"

    def finish(self) -> None:
        """Write the lists and the classes."""
        (self._folder / ANNOTATIONS_NAME).mkdir(exist_ok=True)
        folder = self._folder / SETS_NAME
        folder.mkdir(parents=True)
        for name, stems in self._lists.items():
            (folder / f"{name}.txt").write_text("".join(f"{one}\n" for one in stems), "utf-8")
        lines = [f"{one}:::" for one in self._names.values() if _is_line(one)]
        text = "\n".join(["# label:color_rgb:parts:actions", *lines])
        (self._folder / CLASSES_NAME).write_text(f"{text}\n", encoding="utf-8")
        self.not_kept = +self.not_kept

    def images_folder(self) -> Path:
        """Where the images go."""
        return self._folder / IMAGES_NAME

    def source(self) -> Path:
        """The folder."""
        return self._folder

    def _list(self, sample: Sample, stem: str) -> None:
        split = split_of(sample, self._rule)
        if split in self._lists:
            self._lists[split].append(stem)
        if split in ("train", "val"):
            self._lists["trainval"].append(stem)

    def _annotation(self, sample: Sample, name: str) -> str:
        size = tag("width", sample.width_px) + tag("height", sample.height_px) + tag("depth", 3)
        fields = {SPLIT_KEY: sample.split_key, **sample.slices}
        return (
            "<annotation>\n"
            + tag("folder", IMAGES_NAME) * ("folder" not in fields)
            + tag("filename", name)
            + f"<size>{size}</size>\n"
            + tag("segmented", 0)
            + "".join(tag(key, value) for key, value in fields.items() if _fits(key, value))
            + "".join(self._objects(sample))
            + "</annotation>\n"
        )

    def _objects(self, sample: Sample) -> Iterator[str]:
        for one in sample.annotations:
            box = bounds_of(one.geometry)
            if not is_true(one):
                continue
            if box is None:
                self.not_kept["class of a whole image"] += 1
                continue
            self._count_what_is_lost_of(one)
            corners = self._corners(box)
            if corners is not None:
                self._n_annotations += 1
                yield _object(self._names[one.class_id], corners, one.attributes)

    def _corners(self, box: BoxPx) -> tuple[float, float, float, float] | None:
        """xmin, ymin, xmax, ymax; a pixel is the least that VOC has, and one alone is nothing."""
        xmin, ymin = box.x1 + 1, box.y1 + 1
        xmax, ymax = max(box.x2, xmin), max(box.y2, ymin)
        if (xmin, ymin) == (xmax, ymax):
            self.not_kept["box of at most one pixel"] += 1
            return None
        self.not_kept["box narrower than a pixel"] += (xmax, ymax) != (box.x2, box.y2)
        return xmin, ymin, xmax, ymax

    def _count_what_is_lost(self, sample: Sample, name: str) -> None:
        keeps = set() if sample.reserved == "audit" else {"reservation"}
        if is_labelled(sample):
            slices = sample.slices.items()
            keeps |= {"slices"} if all(_fits(*one, is_slice=True) for one in slices) else set()
            keeps |= {"split key"} if _fits(SPLIT_KEY, sample.split_key) else set()
        else:
            keeps.add("partly labelled")
        self.not_kept.update(left_behind(sample, self._taxonomy, file_name=name, keeps=keeps))

    def _count_what_is_lost_of(self, one: Annotation) -> None:
        if isinstance(one.geometry, OrientedBoxPx):
            self.not_kept["turn of an oriented box"] += 1
        elif not isinstance(one.geometry, BoxPx):
            self.not_kept["shape of an object"] += 1
        for key, value in one.attributes.items():
            if not (_is_element(key, value) or (_is_line(key) and survives(value))):
                self.not_kept["attribute that is read otherwise"] += 1


def is_labelled(sample: Sample) -> bool:
    """Whether somebody has looked at the image: it has labels, or is known to need none."""
    return bool(sample.labelled_for) or any(is_true(one) for one in sample.annotations)


def _object(
    name: str, corners: tuple[float, float, float, float], attributes: dict[str, AttributeValue]
) -> str:
    pose = attributes.get(POSE)
    flags = [attributes.get(flag) is True for flag in FLAGS]
    box = "".join(
        tag(corner, number_text(number))
        for corner, number in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    others = "".join(
        f"<attribute>{tag('name', key)}{tag('value', text_of(value))}</attribute>\n"
        for key, value in attributes.items()
        if not _is_element(key, value)
    )
    return (
        "<object>\n"
        + tag("name", name)
        + tag(POSE, str(pose) if pose is not None and _is_element(POSE, pose) else NO_POSE)
        + "".join(tag(flag, int(is_set)) for flag, is_set in zip(FLAGS, flags, strict=True))
        + f"<bndbox>{box}</bndbox>\n"
        + (f"<attributes>{others}</attributes>\n" if others else "")
        + "</object>\n"
    )


def _is_element(key: str, value: AttributeValue) -> bool:
    """Whether VOC has an element for the attribute, in which it keeps its type."""
    if key in FLAGS:
        return value is True
    return (
        key == POSE
        and isinstance(value, str)
        and value not in ("", NO_POSE)
        and value == value.strip()
        and is_writable(value)
    )


def _fits(key: str, value: str, *, is_slice: bool = False) -> bool:
    """Whether an element can hold the field so that it is read again."""
    taken = key in _TAKEN and (is_slice or key != SPLIT_KEY)
    return bool(_ELEMENT.fullmatch(key)) and not taken and _is_line(value)


def _is_line(text: str) -> bool:
    return bool(text) and text == text.strip() and is_writable(text) and "\n" not in text
