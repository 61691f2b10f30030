"""Classes of whole images, told by folders: `train/cat/1.jpg`, or `cat/1.jpg` without splits."""

from __future__ import annotations

from pathlib import Path

from sightloop.datasets.errors import NotClassFolders
from sightloop.datasets.formats.listing import (
    ClassKey,
    ListedImage,
    ListedObject,
    Listing,
    OfWholeImage,
    Source,
)
from sightloop.datasets.formats.split_names import split_named
from sightloop.datasets.formats.yolo import without_fields
from sightloop.datasets.formats.yolo_files import bad_name, is_image_name, is_utf8, walk_images
from sightloop.datasets.problems import Problem, RecordId
from sightloop.datasets.taxonomy import FoundClass
from sightloop.datasets.values import Split
from sightloop.kernel.errors import NotFound


def has_class_folders(path: Path) -> bool:
    """Whether it has a folder for training images with folders of images in it, and no labels."""
    train = path / "train"
    if not train.is_dir() or (train / "labels").exists() or (path / "labels").exists():
        return False
    folders = [one for one in train.iterdir() if one.is_dir() and one.name != "images"]
    return any(is_image_name(file.name) for one in folders[:3] for file in one.iterdir())


def read_class_folders(source: Source) -> Listing:
    """The data set in class folders. An image in one is exhaustively labelled.

    Raises:
        NotFound: the folder is not there.
        NotClassFolders: there is no class folder with an image.
    """
    root = source.images or source.path
    if not root.is_dir():
        raise NotFound(what="folder", name=str(root))
    root = root.resolve()
    problems: list[Problem] = without_fields(source)
    images: list[ListedImage] = []
    objects: dict[RecordId, list[ListedObject]] = {}
    names: set[str] = set()
    for folder, split in _folders_of_classes(root, problems):
        inside = folder.relative_to(root).as_posix()
        for found in walk_images(root, inside):
            if isinstance(found, Problem):
                problems.append(found)
                continue
            name = found.removeprefix(f"{inside}/" if inside != "." else "").split("/")[0]
            if name == found.rpartition("/")[2]:
                text = "it is in no class folder"
                problems.append(Problem(kind="not_listed", text=text, file=found))
                continue
            names.add(name)
            images.append(ListedImage(found, found, None, None, {}, split=split))
            objects[found] = [ListedObject(None, name, OfWholeImage(), {})]
    if not images:
        raise NotClassFolders(folder=str(root))
    classes: dict[ClassKey, FoundClass] = {name: FoundClass(name) for name in sorted(names)}
    return Listing(root, images, objects, classes, problems, [])


def _folders_of_classes(root: Path, problems: list[Problem]) -> list[tuple[Path, Split | None]]:
    """The split folders, or the root itself where there is none."""
    folders = []
    for one in sorted(root.iterdir()):
        if not is_utf8(one.name):
            problems.append(bad_name(one.name))
        elif one.is_dir() and one.is_symlink() and split_named(one.name):
            text = "it is a symbolic link and is not followed"
            problems.append(Problem(kind="symlink", text=text, file=one.name))
        elif one.is_dir() and (split := split_named(one.name)) is not None:
            folders.append((one, split))
    return [*folders] or [(root, None)]
