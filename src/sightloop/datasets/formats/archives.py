"""Data sets in archives: unpacked into a folder of their own, or refused as a whole.

An archive from elsewhere may hold anything: members that lead out of the folder, links to files of
this machine, devices, a few kilobytes that unpack to terabytes. Names are checked before the first
byte is written, sizes while writing: what an archive says of itself is not believed.
"""

from __future__ import annotations

import errno
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from sightloop.datasets.errors import BadArchive
from sightloop.kernel.files import disk_errors
from sightloop.kernel.progress import Progress

MAX_MEMBERS = 5_000_000
MAX_DEPTH = 100
"""Folders within folders; data sets have five."""
MAX_BYTES = 1 << 40
"""One tebibyte unpacked."""
MAX_RATIO = 200
"""Bytes that come out for one that goes in; text of labels compresses to about a tenth."""
FREE_BYTES = 1 << 28
"""Below 256 MiB unpacked no ratio is a bomb."""

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_CHUNK_BYTES = 1 << 20


class Limits(NamedTuple):
    """How much may come out of an archive."""

    n_members: int = MAX_MEMBERS
    n_bytes: int = MAX_BYTES
    ratio: float = MAX_RATIO
    free_bytes: int = FREE_BYTES


def is_archive(path: Path) -> bool:
    """Whether it is a file that is called like an archive."""
    return path.name.lower().endswith(_SUFFIXES) and path.is_file()


@contextmanager
def unpacked(path: Path, progress: Progress, limits: Limits | None = None) -> Iterator[Path]:
    """The folder with what the archive holds, while the block runs.

    An archive of one folder stands for that folder.

    Raises:
        BadArchive: it is damaged, too large, or holds what must not be unpacked.
        DiskFull: no room.
    """
    with tempfile.TemporaryDirectory(prefix="sightloop-archive-") as made:
        folder = Path(made)
        with disk_errors(folder):
            _unpack(path, folder, progress, limits or Limits())
        yield _only_folder(folder)


def _unpack(path: Path, folder: Path, progress: Progress, limits: Limits) -> None:
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                _unpack_zip(archive, path, folder, progress, limits)
        else:
            # A stream: members are met in order, and none is looked up by what another says.
            with tarfile.open(path, "r|*") as archive:
                _unpack_tar(archive, path, folder, progress, limits)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        NotImplementedError,
    ) as error:
        raise BadArchive(file=str(path), problem=f"it is damaged ({error})") from error
    except RecursionError as error:
        problem = "its headers are nested without end"
        raise BadArchive(file=str(path), problem=problem) from error
    except (RuntimeError, UnicodeError) as error:  # an encrypted member, a name that is none
        raise BadArchive(file=str(path), problem=str(error)) from error
    except FileExistsError as error:
        problem = f"two members want one place ({error.filename})"
        raise BadArchive(file=str(path), problem=problem) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        problem = f"a member cannot be written ({error.strerror}: {error.filename})"
        raise BadArchive(file=str(path), problem=problem) from error


def _unpack_zip(
    archive: zipfile.ZipFile, path: Path, folder: Path, progress: Progress, limits: Limits
) -> None:
    members = archive.infolist()
    meter = _Meter(path, limits)
    for one in members:
        meter.count_member()
        _check_name(path, one.filename)
        kind = stat.S_IFMT(one.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BadArchive(file=str(path), problem=f"{one.filename!r} is a link or a device")
    for done, one in enumerate(members, start=1):
        if not one.is_dir():
            with archive.open(one) as file:
                meter.copy(file, folder / one.filename)
        progress("unpacking", done, len(members))


def _unpack_tar(
    archive: tarfile.TarFile, path: Path, folder: Path, progress: Progress, limits: Limits
) -> None:
    meter = _Meter(path, limits)
    for done, one in enumerate(archive, start=1):
        meter.count_member()
        _check_name(path, one.name)
        if not (one.isfile() or one.isdir()):
            raise BadArchive(file=str(path), problem=f"{one.name!r} is a link or a device")
        if one.isfile() and (file := archive.extractfile(one)) is not None:
            meter.copy(file, folder / one.name)
        if done % 1000 == 0:
            progress("unpacking", done, done)


class _Meter:
    """Writes members and stops where more comes out than can be right."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._packed_bytes = max(path.stat().st_size, 1)
        self._n_members = 0
        self._n_bytes = 0

    def count_member(self) -> None:
        """One more member."""
        self._n_members += 1
        if self._n_members > self._limits.n_members:
            self._refuse(f"it has more than {self._limits.n_members} members")

    def copy(self, file: IO[bytes], to: Path) -> None:
        """Write the member's bytes into a new file."""
        to.parent.mkdir(parents=True, exist_ok=True)
        with to.open("xb") as out:
            while chunk := file.read(_CHUNK_BYTES):
                self._n_bytes += len(chunk)
                self._check()
                out.write(chunk)

    def _check(self) -> None:
        if self._n_bytes > self._limits.n_bytes:
            self._refuse(f"it unpacks to more than {self._limits.n_bytes} bytes")
        most = max(self._limits.free_bytes, self._packed_bytes * self._limits.ratio)
        if self._n_bytes > most:
            ratio = f"{self._limits.ratio:g} times"
            self._refuse(f"it unpacks to more than {ratio} its {self._packed_bytes} bytes")

    def _refuse(self, problem: str) -> None:
        raise BadArchive(file=str(self._path), problem=problem)


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or (parts and parts[0].endswith(":")):
        raise BadArchive(file=str(path), problem=f"its member {name!r} leads out of the folder")
    if len(parts) > MAX_DEPTH:
        problem = f"its member {name[:80]!r}... lies {len(parts)} folders deep, over {MAX_DEPTH}"
        raise BadArchive(file=str(path), problem=problem)
    if "\0" in name:
        raise BadArchive(file=str(path), problem=f"its member {name!r} has no possible name")


def _only_folder(folder: Path) -> Path:
    """The one folder in it, if that is all there is; what macOS adds does not count."""
    shutil.rmtree(folder / "__MACOSX", ignore_errors=True)
    inside = [one for one in folder.iterdir() if one.name != ".DS_Store"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
