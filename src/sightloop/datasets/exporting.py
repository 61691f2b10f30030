"""Exporting a commit as a data set of another format, images as they came in."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.folders import new_folder
from sightloop.datasets.formats.writers import writer_for
from sightloop.datasets.samples import iterate_samples, load_commit
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace


class ExportDataset(msgspec.Struct, frozen=True, kw_only=True):
    """Write what `ref` names into a folder that is not there yet, or empty."""

    ref: str
    folder: str
    format: str = "coco"
    """One of `writers.WRITERS`."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was written, and what the format has no place for."""

    commit: Digest
    format: str
    source: str
    """What to name when the folder is imported again."""
    images: str
    n_images: int
    n_annotations: int
    slice_fields: list[str]
    """Name them again to import the folder."""
    not_kept: dict[str, int]
    """How many samples or annotations have something that is not in the files."""


def export_dataset(workspace: Workspace, call: Call, request: ExportDataset) -> Exported:
    """Write the commit's images and true annotations.

    Images keep their bytes and, where two do not share it, their file name. Proposals of models
    are no truth and stay behind; so does what `Exported.not_kept` lists. A COCO folder that is
    imported again gives an equal root, as far as nothing is in that list.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
        UnknownFormat: there is no such format.
        FolderInUse: the folder holds something.
        BlobMissing: an image is not in the store; nothing was written.
        BlobDamaged: an image's bytes have changed; nothing was written.
        DiskFull: no room; nothing was written.
    """
    require(call.actor, Permission.READ)
    kind = writer_for(request.format)
    folder = Path(request.folder)
    slice_fields: set[str] = set()
    n_images = 0
    with workspace.db.read() as tx, new_folder(folder, mode=0o755) as partial:
        commit = resolve_ref(tx, request.ref)
        record = load_commit(tx, commit)
        opened = kind.look(iterate_samples(tx, commit)) if kind.look else kind.open
        writer = opened(record, partial)
        for done, sample in enumerate(iterate_samples(tx, commit), start=1):
            if (name := writer.add(sample)) is not None:
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(workspace.blobs.read(sample.image))
                slice_fields |= sample.slices.keys()
                n_images += 1
            call.progress("exporting images", done, record.n_samples)
        writer.finish()
        source, images = (
            folder / one.relative_to(partial) for one in (writer.source(), writer.images_folder())
        )
    return Exported(
        commit=commit,
        format=request.format,
        source=str(source),
        images=str(images),
        n_images=n_images,
        n_annotations=writer.n_annotations,
        slice_fields=sorted(slice_fields),
        not_kept=dict(sorted(writer.not_kept.items())),
    )
