"""The view as Ultralytics wants it: a tree of images and label files, and its own data YAML.

Images are links into the view, which is never written to: caches and the re-encoding of damaged
JPEGs replace the link and stay in the tree. An image that an epoch should show more often is listed
more often. The YAML is ours, for one can hold code that Ultralytics would run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import yaml

from sightloop.contracts.job import LabelledBox, View, ViewImage
from sightloop_ultralytics.errors import NoImages, NoLabels


class DatasetTree(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tree is and how much it should show."""

    data_file: Path
    n_train: int
    """Images an epoch should show, repeats included."""
    n_val: int
    image_paths: dict[str, Path]
    """Where each file of the view is to be found in the tree."""


def check_view(view: View) -> None:
    """Return when there is something to train on and something to validate on.

    Raises:
        NoImages: a split is empty.
        NoLabels: nothing is labelled in the training split.
    """
    for split in ("train", "val"):
        if not any(image.split == split for image in view.images):
            raise NoImages(split=split)
    training = [image for image in view.images if image.split == "train"]
    if not any(image.boxes for image in training):
        raise NoLabels(n_images=len(training))


def write_tree(view: View, view_folder: Path, *, folder: Path) -> DatasetTree:
    """Write the tree below `folder`; the order of the view's images is the order of training."""
    paths: dict[str, Path] = {}
    listed: dict[str, list[Path]] = {"train": [], "val": []}
    for split in listed:
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
    for index, image in enumerate(view.images):
        source = view_folder / image.file
        # Numbered, because a.jpg and a.png would share one label file.
        name = f"{index:07d}-{source.stem}"
        link = folder / "images" / image.split / f"{name}{source.suffix.lower()}"
        link.symlink_to(source)
        label_file = folder / "labels" / image.split / f"{name}.txt"
        label_file.write_text(label_text(image))
        paths[image.file] = link
        listed[image.split] += [link] * (image.repeat if image.split == "train" else 1)
    for split, links in listed.items():
        (folder / f"{split}.txt").write_text("".join(f"{link}\n" for link in links))
    data_file = folder / "data.yaml"
    data_file.write_text(data_yaml(folder, view.class_names), encoding="utf-8")
    return DatasetTree(
        data_file=data_file,
        n_train=len(listed["train"]),
        n_val=len(listed["val"]),
        image_paths=paths,
    )


def label_text(image: ViewImage) -> str:
    r"""The label file of one image: class, centre and size in shares of the image, a line each.

    >>> image = ViewImage(file="a.jpg", width_px=200, height_px=100, split="val", boxes=[
    ...     LabelledBox(3, 50.0, 25.0, 150.0, 75.0)])
    >>> label_text(image)
    '3 0.5000000 0.5000000 0.5000000 0.5000000\n'
    """
    rows = [_row(box, width_px=image.width_px, height_px=image.height_px) for box in image.boxes]
    return "".join(f"{row}\n" for row in rows)


def data_yaml(folder: Path, class_names: Sequence[str]) -> str:
    """The data file: where the lists are and what the classes are called, nothing else.

    >>> print(data_yaml(Path("/tree"), ["open", "short"]), end="")
    path: /tree
    train: train.txt
    val: val.txt
    names: [open, short]
    """
    data = {
        "path": str(folder),
        "train": "train.txt",
        "val": "val.txt",
        "names": list(class_names),
    }
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None)


def _row(box: LabelledBox, *, width_px: int, height_px: int) -> str:
    x1, x2 = (min(max(x / width_px, 0.0), 1.0) for x in (box.x1, box.x2))
    y1, y2 = (min(max(y / height_px, 0.0), 1.0) for y in (box.y1, box.y2))
    shares = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    return " ".join([str(box.class_index), *(f"{share:.7f}" for share in shares)])
