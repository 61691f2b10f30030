"""DVC: what a `.dvc` file tracks, laid out from the cache and read as the format that it is.

Every object is checked against the MD5 that names it. The cache and the repository are only read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec

from sightloop.datasets.errors import UnknownFormat, WrongFormat
from sightloop.datasets.formats.dvc_files import (
    TITLE,
    Cache,
    ListedFile,
    Out,
    cache_of,
    find_dvc,
    is_below,
    outs_in,
)
from sightloop.datasets.formats.label_files import folder_of
from sightloop.datasets.formats.listing import Listing, Source
from sightloop.datasets.problems import Problem, ProblemKind
from sightloop.kernel.errors import NotFound
from sightloop.kernel.files import disk_errors
from sightloop.kernel.progress import Progress

ReadInner = Callable[[Source], Listing]

_CHUNK_BYTES = 1 << 20
_SHOWN = 255
"""Characters of a name that are shown; no file has more."""
_READ_ONLY = 0o444
_MD5 = re.compile(r"[0-9a-f]{32}")
_HINT = "fetch it with `dvc pull`"


def read_dvc(source: Source, read_inner: ReadInner) -> Listing:
    """The data set that a `.dvc` or `dvc.lock` file tracks.

    Args:
        source: the file, or the folder with only one; its `scratch` folder takes what is laid out.
        read_inner: reads the data set in a path, whatever its format.

    Raises:
        WrongFormat: it is no file of DVC's, lies in no repository, or a list is damaged.
        NotFound: the cache lacks the object that makes it all.
        UnknownFormat: what is tracked is no data set that can be read.
        DiskFull: no room to lay it out.
    """
    assert source.scratch is not None, "an importer gives readers a scratch folder"
    tracked_by = find_dvc(source.path) or source.path
    outs = outs_in(tracked_by, within=folder_of(source.path))
    layout = _Layout(cache_of(tracked_by), source.scratch / "data", source.progress)
    with disk_errors(source.scratch):
        for out in outs:
            layout.lay_out(out, tracked_by)
    data = layout.root / outs[0].path if len(outs) == 1 else layout.root
    with _saying_who_tracks(outs, tracked_by):
        listing = read_inner(source._replace(path=data))
    return layout.without_lost(listing)


class _Layout:
    """Puts objects of the cache where the data set has its files."""

    def __init__(self, cache: Cache, root: Path, progress: Progress) -> None:
        self.root = root
        self._cache = cache
        self._progress = progress
        self._problems: dict[Path, Problem] = {}

    def lay_out(self, out: Out, tracked_by: Path) -> None:
        """The file or folder below the root.

        Raises:
            NotFound: the cache lacks it, or the list of its files.
            WrongFormat: it, or the list, is not what its MD5 says.
        """
        target = self.root / out.path
        if not out.is_folder:
            self._put(ListedFile(out.md5, out.path), self.root, is_legacy=out.is_legacy)
            if problem := self._problems.get(target):
                raise _error(problem, tracked_by)
            return
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            text = f"it tracks {out.path[:_SHOWN]!r}..., a name longer than any folder's"
            raise WrongFormat(file=str(tracked_by), wanted=TITLE, problem=text) from error
        path = self._cache.path_of(out.md5, is_list=True)
        files = self._list_in(path, out, tracked_by)
        for done, one in enumerate(files, start=1):
            self._put(one, target, is_legacy=out.is_legacy)
            self._progress("reading from the cache of DVC", done, len(files))

    def without_lost(self, listing: Listing) -> Listing:
        """The listing without images whose files are lost, and what is to say of all files."""
        images = []
        for one in listing.images:
            problem = self._problems.get(listing.folder / one.file_name)
            if problem is None:
                images.append(one)
            else:
                named = msgspec.structs.replace(problem, file=one.file_name, image_id=one.id)
                self._problems[listing.folder / one.file_name] = named
        problems = [*self._problems.values(), *listing.problems]
        return listing._replace(images=images, problems=problems)

    def _list_in(self, path: Path, out: Out, tracked_by: Path) -> list[ListedFile]:
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            what = f"list of {out.path!r} in the cache of DVC"
            raise NotFound(what=what, name=str(path), hint=_HINT) from error
        if _md5_of([content]) != out.md5:
            text = f"the list of {out.path!r}, {path}, is not what its MD5 says; {_HINT}"
            raise WrongFormat(file=str(tracked_by), wanted=TITLE, problem=text)
        try:
            return msgspec.json.decode(content, type=list[ListedFile])
        except msgspec.DecodeError as error:
            text = f"the list of {out.path!r}, {path}, is none: {error}"
            raise WrongFormat(file=str(tracked_by), wanted=TITLE, problem=text) from error

    def _put(self, one: ListedFile, folder: Path, *, is_legacy: bool) -> None:
        """The object under its name, read-only; what is wrong with it is remembered."""
        if not is_below(one.relpath) or not _MD5.fullmatch(one.md5):
            text = f"{one.relpath!r} with MD5 {one.md5!r} leads out of the folder or is none"
            self._problem(
                folder / "?" / one.relpath.replace("\0", "?"), "outside_folder", text, one
            )
            return
        source = self._cache.path_of(one.md5)
        target = folder / PurePosixPath(one.relpath)
        try:
            if source.is_symlink():
                self._problem(target, "symlink", f"{source} is a symbolic link", one)
            elif not _is_intact(source, one.md5, is_legacy=is_legacy):
                text = f"{source} is not what its MD5 says; {_HINT}"
                self._problem(target, "damaged_file", text, one)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(source, target)
        except (FileNotFoundError, IsADirectoryError):
            self._problem(target, "missing_file", f"there is no {source}; {_HINT}", one)
        except (FileExistsError, NotADirectoryError):
            text = "the list has another file where this one belongs"
            self._problem(target, "duplicate_id", text, one)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            self._problem(target, "bad_name", "its name is longer than any file's", one)

    def _problem(self, target: Path, kind: ProblemKind, text: str, one: ListedFile) -> None:
        self._problems[target] = Problem(kind=kind, text=text, file=one.relpath[:_SHOWN])


def _is_intact(path: Path, md5: str, *, is_legacy: bool) -> bool:
    with path.open("rb") as file:
        if _md5_of(iter(lambda: file.read(_CHUNK_BYTES), b"")) == md5:
            return True
    # Text had the MD5 of its content with Unix line ends, whatever line ends it has.
    return is_legacy and _md5_of([path.read_bytes().replace(b"\r\n", b"\n")]) == md5


def _md5_of(chunks: Iterable[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _link(source: Path, target: Path) -> None:
    """A hard link, which costs nothing; a copy where the file system cannot do it."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(_READ_ONLY)


def _error(problem: Problem, tracked_by: Path) -> NotFound | WrongFormat:
    if problem.kind == "missing_file":
        return NotFound(what="object in the cache of DVC", name=problem.file, hint=problem.text)
    return WrongFormat(file=str(tracked_by), wanted=TITLE, problem=str(problem))


@contextmanager
def _saying_who_tracks(outs: list[Out], path: Path) -> Iterator[None]:
    """Errors about the format name the file that the user named, not where it was laid out."""
    try:
        yield
    except UnknownFormat as error:
        name = f"{', '.join(one.path for one in outs[:5])}, which {path} tracks"
        known = str(error.facts["known"]).split(", ")
        unread = str(error.facts.get("unread", ""))
        raise UnknownFormat(path=name, name="auto", known=known, unread=unread) from error
