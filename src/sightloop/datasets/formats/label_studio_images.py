"""Where the images of Label Studio's tasks lie: its addresses, looked up below one folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from sightloop.datasets.media import IMAGE_ENDINGS

LOCAL_FILES = "/data/local-files/?d="
"""How Label Studio addresses files of its own machine, below its document root."""

_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
"""Uploads get eight digits before their name."""

_USUAL_KEYS = ("image", "img", "image_url", "url")


class FoundImage(NamedTuple):
    """An image's path below the folder, or why there is none."""

    name: str
    is_remote: bool = False
    """Its address leads to another machine, and no file of that name lies here."""
    is_guess: bool = False
    """Only the end of its path was found."""


def image_address(data: Mapping[str, Any]) -> str | None:
    """The address of a task's image: under the usual name, or the first that looks like one."""
    for key in _USUAL_KEYS:
        if isinstance(value := data.get(key), str) and value:
            return value
    texts = (value for value in data.values() if isinstance(value, str))
    return next((one for one in texts if _looks_like_image(one)), None)


def find_image(address: str, *, tasks_folder: Path, images: Path) -> FoundImage:
    """The image below the folder that the address can mean, the longest end of its path first."""
    path, is_remote, is_tool = _path_of(address)
    parts = PurePosixPath(path).parts
    if ".." in parts or "\0" in path or not parts:
        return FoundImage(path or address[:80])
    beside = _below(tasks_folder / path.lstrip("/"), images)
    if beside is not None and _is_file(images / beside):
        return FoundImage(beside)
    for is_first, name in _ends_of(path):
        if _is_file(images / name):
            return FoundImage(name, is_guess=not (is_first or is_remote or is_tool))
    return FoundImage(path.lstrip("/"), is_remote=is_remote)


def _path_of(address: str) -> tuple[str, bool, bool]:
    """The path in the address, whether it is on another machine, whether the tool made it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address, False, False
    is_remote = bool(parts.scheme) and len(parts.scheme) > 1
    if parts.path.rstrip("/").endswith("/data/local-files"):
        return parse_qs(parts.query).get("d", [""])[0], False, True
    if is_remote:
        return unquote(parts.path), True, False
    is_tool = address.startswith("/data/")
    return (unquote(parts.path) if is_tool else address).replace("\\", "/"), False, is_tool


def _ends_of(path: str) -> Iterator[tuple[bool, str]]:
    """Ends of the path from the whole on, and whether it is the whole."""
    parts = [one for one in PurePosixPath(path).parts if one != "/"]
    for at in range(len(parts)):
        yield at == 0, "/".join(parts[at:])
    if parts and (match := _UPLOADED.fullmatch(parts[-1])):
        yield False, match[1]


def _below(path: Path, folder: Path) -> str | None:
    found, root = os.path.normpath(path), os.path.normpath(folder)
    return os.path.relpath(found, root) if found.startswith(root + os.sep) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _looks_like_image(text: str) -> bool:
    path, _, is_tool = _path_of(text)
    return is_tool or PurePosixPath(path).suffix.lower() in IMAGE_ENDINGS
