"""Training views: a private, read-only folder of a commit's images and a list of their labels.

An engine is foreign code that may rewrite what it reads, so it never sees the blob store: it gets
reflinks where the file system has them, else copies while they are small, else hard links. What
it may have touched is hashed again afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from sightloop.contracts.decode import encode
from sightloop.contracts.job import VIEW_NAME, View, ViewImage
from sightloop.datasets.errors import BadRepeat, ViewChanged
from sightloop.datasets.folders import new_folder
from sightloop.datasets.links import LinkKind, best_link, link_blob
from sightloop.datasets.media import extension_of
from sightloop.datasets.samples import iterate_samples, load_commit
from sightloop.datasets.splits import split_of
from sightloop.datasets.truths import class_indices, labelled_boxes
from sightloop.datasets.values import Sample, strata_of
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.progress import Progress, silent
from sightloop.kernel.workspace import Workspace

MAX_REPEAT = 100
_PRIVATE = 0o700
_IMAGES = "images"


class ViewFile(msgspec.Struct, frozen=True):
    """A file of a view as it was handed out."""

    file: str
    image: Digest
    size_bytes: int
    modified_ns: int


class WrittenView(msgspec.Struct, frozen=True, kw_only=True):
    """A view on disk, and what is needed to see later whether it was touched."""

    folder: str
    view: View
    links: LinkKind
    files: list[ViewFile]
    n_partly_labelled: int
    """Images that are not labelled for every class: on them, objects may look like background."""


def write_view(
    workspace: Workspace,
    commit: Digest,
    folder: Path,
    *,
    repeats: Mapping[str, int] | None = None,
    progress: Progress = silent,
) -> WrittenView:
    """Make `folder` a view of the commit's train and val samples.

    It is there whole or not at all. Only boxes that a person or an imported file vouches for are
    in it.

    Args:
        workspace: where the commit and its images are.
        commit: what to look at.
        folder: must not exist, or be empty.
        repeats: how often an epoch shows the training images of a stratum (`field=value`); of
            several that fit, the largest counts.
        progress: told as images are laid out.

    Raises:
        BadRepeat: a number of repeats is below 1 or beyond `MAX_REPEAT`.
        FolderInUse: the folder holds something.
        ObjectMissing: there is no such commit here.
        BlobMissing: an image is not in the store.
        BlobDamaged: an image's bytes have changed.
        DiskFull: no room; nothing is left behind.
    """
    _check_repeats(repeats or {})
    content = _read_content(workspace, commit, repeats or {})
    with new_folder(folder, mode=_PRIVATE) as partial:
        links = _lay_out(workspace, content.images, partial, progress)
        (partial / VIEW_NAME).write_bytes(encode(content.view))
        files = [_as_handed_out(partial, file, image) for file, image in content.images.items()]
    return WrittenView(
        folder=str(folder),
        view=content.view,
        links=links,
        files=files,
        n_partly_labelled=content.n_partly_labelled,
    )


def check_view(_workspace: Workspace, written: WrittenView) -> None:
    """Return when the view's images are still those of its commit.

    Only files whose size or time stamp is not as it was are read.

    Raises:
        ViewChanged: an image was changed, replaced or removed.
    """
    folder = Path(written.folder)
    changed = [one.file for one in written.files if not _is_intact(folder / one.file, one)]
    if changed:
        is_linked = written.links == "hard link"
        raise ViewChanged(folder=written.folder, files=changed, linked=is_linked)


class _Content(NamedTuple):
    view: View
    images: dict[str, Digest]
    """By file name."""
    n_partly_labelled: int


def _read_content(workspace: Workspace, commit: Digest, repeats: Mapping[str, int]) -> _Content:
    with workspace.db.read() as tx:
        record = load_commit(tx, commit)
        class_ids = record.taxonomy.class_ids
        indices = class_indices(class_ids)
        listed: list[ViewImage] = []
        images: dict[str, Digest] = {}
        n_partly_labelled = 0
        for sample in iterate_samples(tx, commit):
            split = split_of(sample, record.split_rule)
            if split != "train" and split != "val":
                continue
            file = f"{_IMAGES}/{sample.id}.{extension_of(sample.media_type)}"
            images[file] = sample.image
            n_partly_labelled += not set(class_ids) <= set(sample.labelled_for)
            listed.append(
                ViewImage(
                    file=file,
                    width_px=sample.width_px,
                    height_px=sample.height_px,
                    split=split,
                    repeat=_repeat_of(sample, repeats) if split == "train" else 1,
                    boxes=labelled_boxes(sample, indices),
                )
            )
    view = View(dataset_commit=commit, class_names=record.taxonomy.class_names, images=listed)
    return _Content(view, images, n_partly_labelled)


def _lay_out(
    workspace: Workspace, images: Mapping[str, Digest], folder: Path, progress: Progress
) -> LinkKind:
    (folder / _IMAGES).mkdir(mode=_PRIVATE)
    links: LinkKind = "copy"
    if images:
        links = best_link(
            workspace.blobs,
            next(iter(images.values())),
            folder,
            n_bytes=sum(workspace.blobs.size_bytes(image) for image in images.values()),
            copy_limit_bytes=workspace.config.training.copy_limit_bytes,
        )
    for done, (file, image) in enumerate(images.items(), start=1):
        link_blob(workspace.blobs, image, folder / file, links)
        progress("laying out images", done, len(images))
    return links


def _as_handed_out(folder: Path, file: str, image: Digest) -> ViewFile:
    facts = (folder / file).stat()
    return ViewFile(file, image, facts.st_size, facts.st_mtime_ns)


def _is_intact(path: Path, handed_out: ViewFile) -> bool:
    try:
        facts = path.stat()
        if (facts.st_size, facts.st_mtime_ns) == (handed_out.size_bytes, handed_out.modified_ns):
            return True
        return digest_of(path.read_bytes()) == handed_out.image
    except OSError:
        return False


def _repeat_of(sample: Sample, repeats: Mapping[str, int]) -> int:
    return max((repeats.get(stratum, 1) for stratum in strata_of(sample.slices)), default=1)


def _check_repeats(repeats: Mapping[str, int]) -> None:
    for stratum, repeat in repeats.items():
        if not 1 <= repeat <= MAX_REPEAT:
            raise BadRepeat(stratum=stratum, repeat=repeat, limit=MAX_REPEAT)
