"""Where updates come from: the server, or a folder that somebody carried here.

A source is never trusted. Whatever it hands over is checked against signatures and digests by
those who asked for it, so a folder on a stick and a server get the same treatment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from sightloop.contracts.decode import decode
from sightloop.contracts.update_folder import FOLDER_NOTE, DeviceUpdates, UpdateFolder, device_note
from sightloop.device.errors import NoUpdateFolder, ServerAway, ServerRefused


class Body(Protocol):
    """Bytes that arrive piecewise; an empty piece is the end."""

    def read(self, amt: int, /) -> bytes:
        """Up to so many bytes, waiting for them."""
        ...

    def read1(self, amt: int, /) -> bytes:
        """Up to so many bytes, as many as are there."""
        ...


class UpdateSource(Protocol):
    """Gives out metadata, manifests and files by the paths of docs/formats/bundle.md."""

    def open(self, path: str, *, from_byte: int = 0) -> AbstractContextManager[tuple[Body, int]]:
        """A body to read, and the byte of the file at which it begins.

        Raises:
            ServerAway: not now; also while the block reads.
            ServerRefused: there is no such file here.
        """
        ...

    def url(self, path: str) -> str:
        """How a person would call it."""
        ...


class FolderSource:
    """A folder written by `sightloop fleet export-usb`, wherever it lies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(self, path: str, *, from_byte: int = 0) -> Iterator[tuple[Body, int]]:
        """As `UpdateSource.open`; a stick that is pulled out counts as away.

        Raises:
            ServerAway: the medium cannot be read.
            ServerRefused: the folder does not hold the file.
        """
        file = self._folder / unquote(path).lstrip("/")
        # The names come from signed metadata, but the medium decides where a link leads.
        if not _PLAIN_PATH.fullmatch(path) or not file.is_file():
            raise ServerRefused(
                url=self.url(path), status=404, reason="the folder does not hold it"
            )
        try:
            with file.open("rb") as body:
                body.seek(from_byte)
                yield body, from_byte
        except OSError as error:
            raise ServerAway(url=self.url(path), reason=str(error)) from error

    def url(self, path: str) -> str:
        """The file's place, for messages."""
        return f"folder:{self._folder}{path}"

    def read_note(self) -> UpdateFolder:
        """What the folder says of itself; not signed, so nothing is decided by it.

        Raises:
            NoUpdateFolder: it is no such folder.
            WrongFormat: it is one of another Sightloop, or damaged.
        """
        path = self._folder / FOLDER_NOTE
        try:
            return decode(path.read_bytes(), UpdateFolder, what=str(path))
        except OSError as error:
            raise NoUpdateFolder(folder=str(self._folder), reason=str(error)) from error

    def updates_for(self, device: str) -> DeviceUpdates:
        """The assignments the folder holds for the device; none when it has none for it.

        Raises:
            WrongFormat: the file is damaged.
            ServerAway: the medium cannot be read.
        """
        path = self._folder / device_note(device)
        if not _DEVICE.fullmatch(device) or not path.is_file():
            return DeviceUpdates(device=device, assignments=[])
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ServerAway(url=str(path), reason=str(error)) from error
        return decode(content, DeviceUpdates, what=str(path))


_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_%@-][A-Za-z0-9._%@-]*)+")
_DEVICE = re.compile(r"[A-Za-z0-9_-]{1,128}")
