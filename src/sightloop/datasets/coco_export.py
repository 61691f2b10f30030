"""Exporting a commit as a COCO data set, images as they came in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.coco import AREA, SEGMENTATION
from sightloop.datasets.folders import new_folder
from sightloop.datasets.media import extension_of
from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import iterate_samples, load_commit
from sightloop.datasets.truths import CROWD, is_true
from sightloop.datasets.values import IMPORTED, Annotation, ClassId, Sample, Taxonomy
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace

ANNOTATIONS_NAME = "annotations.json"
IMAGES_NAME = "images"
SPLIT_KEY = "split_key"
"""The image field in which an export keeps split keys."""

_NAME_BYTES = 255
"""The longest file name that common file systems take."""


class ExportCoco(msgspec.Struct, frozen=True, kw_only=True):
    """Write what `ref` names into a folder that is not there yet, or empty."""

    ref: str
    folder: str


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was written, and what COCO has no place for."""

    commit: Digest
    annotations: str
    images: str
    n_images: int
    n_annotations: int
    slice_fields: list[str]
    """Name them again to import the folder."""
    not_kept: dict[str, int]
    """How many samples or annotations have something that is not in the files."""


def export_coco(workspace: Workspace, call: Call, request: ExportCoco) -> Exported:
    """Write the commit's images and true annotations; importing them again gives an equal root.

    Images keep their bytes and, where two do not share it, their file name. Proposals of models
    are no truth and stay behind; so does what `Exported.not_kept` lists.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
        FolderInUse: the folder holds something.
        BlobMissing: an image is not in the store; nothing was written.
        BlobDamaged: an image's bytes have changed; nothing was written.
        DiskFull: no room; nothing was written.
    """
    require(call.actor, Permission.READ)
    folder = Path(request.folder)
    with workspace.db.read() as tx, new_folder(folder, mode=0o755) as partial:
        commit = resolve_ref(tx, request.ref)
        record = load_commit(tx, commit)
        writer = _Writer(record)
        for sample in iterate_samples(tx, commit):
            _write_image(partial / IMAGES_NAME / writer.add(sample), workspace, sample)
            call.progress("exporting images", len(writer.images), record.n_samples)
        coco = {**writer.content(), "info": {"description": f"Sightloop commit {commit}"}}
        (partial / ANNOTATIONS_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(coco)))
    return Exported(
        commit=commit,
        annotations=str(folder / ANNOTATIONS_NAME),
        images=str(folder / IMAGES_NAME),
        n_images=len(writer.images),
        n_annotations=len(writer.annotations),
        slice_fields=sorted(writer.slice_fields),
        not_kept=dict(sorted(writer.not_kept.items())),
    )


class _Writer:
    """Collects the records of a COCO file, sample by sample."""

    def __init__(self, record: CommitRecord) -> None:
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.slice_fields: set[str] = set()
        self.not_kept: Counter[str] = Counter()
        self._taxonomy = record.taxonomy
        self._coco_ids = coco_ids(record.taxonomy)
        self._names = _FileNames()

    def add(self, sample: Sample) -> str:
        """Take the sample in; returns its file's path below the image folder."""
        file_name = self._names.name_for(sample)
        image_id = len(self.images) + 1
        self.slice_fields |= sample.slices.keys()
        self.images.append(
            {
                **sample.slices,
                SPLIT_KEY: sample.split_key,
                "id": image_id,
                "file_name": file_name,
                "width": sample.width_px,
                "height": sample.height_px,
            }
        )
        for one in sample.annotations:
            if is_true(one):
                self._add_annotation(one, image_id)
        self.not_kept.update(_left_behind(sample, self._taxonomy))
        return file_name

    def content(self) -> dict[str, Any]:
        """The three lists."""
        categories = [
            {"id": self._coco_ids[one.id], "name": one.name, "supercategory": one.supercategory}
            for one in self._taxonomy.classes
        ]
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories,
        }

    def _add_annotation(self, one: Annotation, image_id: int) -> None:
        box = one.geometry
        # On the grid of rounded corners this difference and its sum on import are exact.
        width_px, height_px = round(box.x2 - box.x1, 3), round(box.y2 - box.y1, 3)
        fields: dict[str, Any] = {
            AREA: width_px * height_px,
            **one.attributes,
            "id": len(self.annotations) + 1,
            "image_id": image_id,
            "category_id": self._coco_ids[one.class_id],
            "bbox": [box.x1, box.y1, width_px, height_px],
            CROWD: int(bool(one.attributes.get(CROWD))),
        }
        if isinstance(outline := one.attributes.get(SEGMENTATION), str):
            fields[SEGMENTATION] = msgspec.json.decode(outline)
        self.annotations.append(fields)


def coco_ids(taxonomy: Taxonomy) -> dict[ClassId, int]:
    """A category id for each class: the one it came with, or the next that is free."""
    taken = {one.coco_id for one in taxonomy.classes if one.coco_id is not None}
    ids: dict[ClassId, int] = {}
    for one in taxonomy.classes:
        if one.coco_id is not None and one.coco_id not in ids.values():
            ids[one.id] = one.coco_id
        else:
            ids[one.id] = max(taken, default=0) + 1
            taken.add(ids[one.id])
    return ids


class _FileNames:
    """Gives every image a path of its own below the folder, its old one where that is possible."""

    def __init__(self) -> None:
        self._files: set[PurePosixPath] = set()
        self._folders: set[PurePosixPath] = set()

    def name_for(self, sample: Sample) -> str:
        """The path; taken from now on."""
        suffix = PurePosixPath(sample.file_name).suffix
        stem = sample.file_name.removesuffix(suffix)
        for name in (sample.file_name, f"{stem}-{sample.id[:8]}{suffix}"):
            if _is_below(name) and self._take(PurePosixPath(name)):
                return name
        name = f"{sample.id}.{extension_of(sample.media_type)}"
        self._take(PurePosixPath(name))
        return name

    def _take(self, path: PurePosixPath) -> bool:
        folders = set(path.parents)
        if path in self._files | self._folders or folders & self._files:
            return False
        self._files.add(path)
        self._folders |= folders
        return True


def _is_below(name: str) -> bool:
    """Whether a path stays below the folder it is put into, and can be a path at all."""
    parts = PurePosixPath(name).parts
    fits = all(part not in ("..", "/") and len(part.encode()) <= _NAME_BYTES for part in parts)
    return bool(parts) and fits and "\0" not in name


def _write_image(path: Path, workspace: Workspace, sample: Sample) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(workspace.blobs.read(sample.image))


def _left_behind(sample: Sample, taxonomy: Taxonomy) -> Iterator[str]:
    """What of the sample is not in a COCO file."""
    for what, is_there in (
        ("capture", sample.capture),
        ("inclusion probability", sample.inclusion_probability is not None),
        ("lane", sample.lane),
        ("partly labelled", set(sample.labelled_for) != set(taxonomy.class_ids)),
        ("quarantine", sample.quarantined),
        ("reservation", sample.reserved),
        ("tags", sample.tags),
    ):
        if is_there:
            yield what
    for one in sample.annotations:
        if not is_true(one):
            yield "proposed annotation"
        elif one.source != IMPORTED:
            yield "annotation source"
