"""What DVC writes beside data: which objects of its cache make a tracked file or folder.

Source: DVC 3.67; `.dvc` and `dvc.lock` files are YAML, a tracked folder is an object of the cache
with a JSON list of its files. DVC before 3.0 named text files by the MD5 of their content with
Unix line ends and had no folder `files/md5` in the cache.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec
import yaml

from sightloop.datasets.errors import WrongFormat
from sightloop.datasets.formats.label_files import read_labels_file

DVC_FOLDER = ".dvc"
CACHE_LAYOUT = "files/md5"
TITLE = "DVC"

_LOCK_NAME = "dvc.lock"
_MAX_BYTES = 1 << 24
_MD5 = re.compile(r"([0-9a-f]{32})(\.dir)?")


class Out(NamedTuple):
    """A file or folder that DVC tracks."""

    path: str
    """Relative to the folder of the file that tracks it, with forward slashes."""
    md5: str
    is_folder: bool
    is_legacy: bool
    """Written before DVC 3.0."""


class Cache(NamedTuple):
    """DVC's cache of one repository."""

    folder: Path

    def path_of(self, md5: str, *, is_list: bool = False) -> Path:
        """Where an object lies: in today's layout, or else in that before DVC 3.0."""
        name = f"{md5[2:]}{'.dir' if is_list else ''}"
        today = self.folder / CACHE_LAYOUT / md5[:2] / name
        before = self.folder / md5[:2] / name
        return before if before.is_file() and not today.is_file() else today


def is_dvc(path: Path) -> bool:
    """Whether the path is a file in which DVC says what it tracks."""
    return path.is_file() and (path.suffix == DVC_FOLDER or path.name == _LOCK_NAME)


def find_dvc(path: Path) -> Path | None:
    """The file in which DVC says what it tracks: the path itself, or the only one in it."""
    if not path.is_dir():
        return path if is_dvc(path) else None
    files = [one for one in path.glob(f"*{DVC_FOLDER}") if one.is_file() and one.stem]
    return files[0] if len(files) == 1 and files[0].name != DVC_FOLDER else None


def outs_in(path: Path, *, within: Path | None = None) -> list[Out]:
    """What the file tracks; `within` is the folder out of which no symbolic link may lead.

    Raises:
        WrongFormat: it is no file of DVC's, or tracks something that is in no local cache.
    """
    found = [_out(one, path) for one in _records_in(_yaml_in(path, within))]
    if not found:
        raise _wrong(path, "it tracks nothing")
    return found


def cache_of(path: Path) -> Cache:
    """The cache of the repository in which the file lies.

    Raises:
        WrongFormat: it lies in no DVC repository, or the repository's settings cannot be read.
    """
    for parent in path.resolve().parents:
        if (parent / DVC_FOLDER).is_dir():
            return Cache(_cache_folder(parent / DVC_FOLDER))
    raise _wrong(path, f"no folder above it has {DVC_FOLDER}/, so there is no cache to read from")


def is_below(path: str) -> bool:
    """Whether a path from a file of DVC's stays below where it is put."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path


def _out(record: Any, path: Path) -> Out:  # noqa: ANN401 - any YAML value
    if not isinstance(record, dict) or not isinstance(record.get("path"), str):
        raise _wrong(path, "an entry of `outs` has no path")
    where = record["path"].replace("\\", "/")
    if record.get("hash", "md5") != "md5" or not isinstance(record.get("md5"), str):
        raise _wrong(path, f"{where!r} has no md5; only what lies in a local cache can be read")
    match = _MD5.fullmatch(record["md5"])
    if match is None:
        raise _wrong(path, f"{where!r} has the md5 {record['md5'][:60]!r}, which cannot be")
    if not is_below(where):
        raise _wrong(path, f"{where!r} leads out of its folder")
    return Out(PurePosixPath(where).as_posix(), match[1], bool(match[2]), "hash" not in record)


def _records_in(content: Any) -> Iterator[Any]:  # noqa: ANN401 - any YAML value
    """The entries of all `outs`: of the file itself, or of the stages of a lock file."""
    if not isinstance(content, dict):
        return
    holders = [content]
    if isinstance(stages := content.get("stages"), dict):
        holders += [one for one in stages.values() if isinstance(one, dict)]
    for one in holders:
        if isinstance(outs := one.get("outs"), list):
            yield from outs


def _yaml_in(path: Path, within: Path | None) -> Any:  # noqa: ANN401 - any YAML value
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _wrong(path, f"it has more than {_MAX_BYTES} bytes")
        return yaml.safe_load(read_labels_file(path, within=within))
    except OSError as error:
        raise _wrong(path, f"it cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _wrong(path, f"it is no YAML ({line})") from error


def _cache_folder(dvc: Path) -> Path:
    """The cache folder by the repository's own settings; those of the machine do not count."""
    folder = dvc / "cache"
    for name in ("config", "config.local"):
        settings = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            settings.read(dvc / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            line = str(error).splitlines()[0]
            raise _wrong(dvc / name, f"its settings cannot be read ({line})") from error
        if named := settings.get("cache", "dir", fallback=""):
            folder = dvc / named  # a relative one counts from the settings' own folder
    return folder


def _wrong(path: Path, problem: str) -> WrongFormat:
    return WrongFormat(file=str(path), wanted=TITLE, problem=problem)


class ListedFile(msgspec.Struct, frozen=True):
    """A file of a tracked folder, as its list has it."""

    md5: str
    relpath: str
