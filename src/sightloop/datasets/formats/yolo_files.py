"""The image files of a YOLO data set: found on disk, dealt to the splits that its YAML names.

Nothing outside the data set's folder is listed, and no symbolic link is followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sightloop.datasets.problems import Problem, ProblemKind
from sightloop.datasets.values import Split

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".mpo", ".dng", ".heic", ".heif"}
    | {".avif", ".jp2"}
)
"""What Ultralytics takes for images; those of kinds that cannot be read here are reported."""

MAX_LIST_BYTES = 1 << 28

_MAX_NAME_BYTES = 255
_MAX_PATH = 2000
"""Half of what Linux allows, so that there is room for the data set's own folder."""
_TOO_LONG = "its name is longer than any file's"


class FoundFile(NamedTuple):
    """An image of the data set."""

    path: str
    """Below the data set's folder, with forward slashes."""
    split: Split | None


class FoundFiles(NamedTuple):
    """The images and what is the matter with others."""

    images: list[FoundFile]
    problems: list[Problem]


def is_image_name(name: str) -> bool:
    """Whether a file of that name is taken for an image; hidden ones are not."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")


def label_path(path: str) -> str:
    """Where the labels of an image are, by the rule of Ultralytics.

    >>> label_path("images/train/a.b.jpg"), label_path("x/a.jpg")
    ('labels/train/a.b.txt', 'x/a.txt')
    """
    before, found, after = f"/{path}".rpartition("/images/")
    whole = f"{before}/labels/{after}" if found else f"/{path}"
    return str(PurePosixPath(whole[1:]).with_suffix(".txt"))


def walk_images(root: Path, folder: str) -> Iterator[str | Problem]:
    """Image files below `root/folder`, in order; problems for names and links that cannot be."""
    for here, folders, files in os.walk(root / folder):
        folders.sort()
        for name in list(folders):
            path = _below(root, here, name)
            if Path(here, name).is_symlink():
                yield _problem("symlink", path, "it is a symbolic link and is not followed")
                folders.remove(name)
            elif name.startswith("."):
                folders.remove(name)
        for name in sorted(files):
            if not is_image_name(name):
                continue
            path = _below(root, here, name)
            yield path if is_utf8(path) else bad_name(path)


def listed_in_splits(root: Path, splits: Mapping[Split, Sequence[str]], *, at: str) -> FoundFiles:
    """The images of each split; one in two splits stays in the first, and is reported."""
    where: dict[str, Split] = {}
    problems: list[Problem] = []
    tops: dict[str, None] = {}
    for split, entries in splits.items():
        doubled: dict[Split, list[str]] = {}
        for entry in entries:
            for found in _entry(root, entry, split, tops, at=at):
                if isinstance(found, Problem):
                    problems.append(found)
                elif (first := where.setdefault(found, split)) != split:
                    doubled.setdefault(first, []).append(found)
        for first, paths in doubled.items():
            text = f"{len(paths)} images of {split} are in {first} too and stay there"
            problems.append(_problem("two_splits", paths[0], text, at=at))
    images = [FoundFile(path, split) for path, split in where.items()]
    known = {one.file for one in problems}
    for top in tops:
        for one in walk_images(root, top):
            path = one.file if isinstance(one, Problem) else one
            if path in where or path in known:
                continue
            known.add(path)
            text = "it is in the folder but in no split"
            problems.append(one if isinstance(one, Problem) else _problem("not_listed", one, text))
    return FoundFiles(images, problems)


def is_utf8(name: str) -> bool:
    """Whether the name of a file can be written as text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def bad_name(name: str, *, at: str = "") -> Problem:
    """That a file's name is no text; its bytes are shown escaped."""
    shown = os.fsencode(name).decode("ascii", "backslashreplace")
    text = "its name is not UTF-8; rename the file"
    return Problem(kind="bad_name", text=text, file=shown, at=at)


def _entry(
    root: Path, entry: str, split: Split, tops: dict[str, None], *, at: str
) -> Iterator[str | Problem]:
    if _is_too_long(entry):
        yield _problem("bad_name", f"{entry[:80]}...", _TOO_LONG, at=at)
        return
    inside = _inside(root, entry)
    if inside is None:
        text = f"{split} leads out of the data set's folder {root}"
        yield _problem("outside_folder", entry, text, at=at)
        return
    path = root / inside
    if linked := _linked(root, inside):
        yield _problem("symlink", linked, f"{split} is behind a symbolic link", at=at)
    elif path.is_dir():
        tops[inside.split("/")[0] if inside != "." else "."] = None
        yield from walk_images(root, inside)
    elif path.is_file() and is_image_name(path.name):
        yield inside
    elif path.is_file():
        yield from _from_list(root, path, tops)
    else:
        yield _problem("missing_file", entry, f"{split} names what is not there", at=at)


def _from_list(root: Path, path: Path, tops: dict[str, None]) -> Iterator[str | Problem]:
    name = path.relative_to(root).as_posix()
    if path.stat().st_size > MAX_LIST_BYTES:
        yield _problem("unreadable_labels", name, f"it has more than {MAX_LIST_BYTES} bytes")
        return
    seen: set[str] = set()
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    for number, line in enumerate(content.splitlines(), start=1):
        written, at = line.strip(), f"{name}:{number}"
        if not written:
            continue
        if not is_utf8(written) or "\0" in written:
            yield bad_name(written, at=at)
            continue
        if _is_too_long(written):
            yield _problem("bad_name", f"{written[:80]}...", _TOO_LONG, at=at)
            continue
        inside = _of_list(root, path, written)
        if inside is None:
            text = "it leads out of the data set's folder"
            yield _problem("outside_folder", written, text, at=at)
        elif not is_image_name(inside.rpartition("/")[2]):
            yield _problem("wrong_shape", written, "it is no image file's name", at=at)
        elif inside not in seen:  # an image may be listed often, to be shown often
            seen.add(inside)
            if "/" in inside:
                tops[inside.split("/")[0]] = None
            yield inside


def _of_list(root: Path, path: Path, written: str) -> str | None:
    """The listed path below the root: lists count from their own folder, else from the root."""
    folder = path.parent.relative_to(root).as_posix()
    beside = _inside(root, written if Path(written).is_absolute() else f"{folder}/{written}")
    if written.startswith("./") or (beside is not None and (root / beside).exists()):
        return beside
    return _inside(root, written)


def _inside(root: Path, entry: str) -> str | None:
    """The entry as a path below the root; None where it leads out of it.

    Some tools write `../train/images` and mean `train/images`; Ultralytics forgives that.
    """
    path = Path(entry)
    try:
        relative = path.relative_to(root) if path.is_absolute() else path
    except ValueError:
        return None
    normal = os.path.normpath(relative.as_posix() or ".").replace(os.sep, "/")
    if normal.startswith("../"):
        normal = normal[3:]
    return None if normal.startswith("..") or "\0" in normal else normal


def _is_too_long(entry: str) -> bool:
    """Whether no file system here can have such a path; asking for it would be an error."""
    too_long = any(len(os.fsencode(one)) > _MAX_NAME_BYTES for one in entry.split("/"))
    return too_long or len(entry) > _MAX_PATH


def _linked(root: Path, inside: str) -> str:
    """The first part of the path that is a symbolic link; empty where none is."""
    here = PurePosixPath()
    for part in PurePosixPath(inside).parts:
        here /= part
        if (root / here).is_symlink():
            return str(here)
    return ""


def _below(root: Path, here: str, name: str) -> str:
    return Path(here, name).relative_to(root).as_posix()


def _problem(kind: ProblemKind, file: str, text: str, *, at: str = "") -> Problem:
    return Problem(kind=kind, text=text, file=file, at=at)


def without_problems(found: Iterable[str | Problem], problems: list[Problem]) -> list[str]:
    """The paths; problems go to the list."""
    paths = []
    for one in found:
        if isinstance(one, Problem):
            problems.append(one)
        else:
            paths.append(one)
    return paths
