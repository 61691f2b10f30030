"""File names for formats whose lists and attributes cannot hold every name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import msgspec

from sightloop.datasets.formats.file_names import FileNames
from sightloop.datasets.formats.plain_texts import writable
from sightloop.datasets.values import Sample

_LINE_ENDS = re.compile("[\\\\\n\r\t\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


class SafeNames:
    """As `FileNames`, of one line of text each; with `by_stem` also unlike without its ending."""

    def __init__(self, *, by_stem: bool = False) -> None:
        self._names = FileNames()
        self._stems: set[str] | None = set() if by_stem else None

    def name_for(self, sample: Sample) -> str:
        """The path; taken from now on."""
        wanted = _LINE_ENDS.sub("_", writable(sample.file_name)).strip()
        if self._stems is not None and _stem(wanted) in self._stems:
            path = PurePosixPath(wanted)
            wanted = str(path.with_name(f"{path.stem}-{sample.id[:8]}{path.suffix}"))
        name = self._names.name_for(msgspec.structs.replace(sample, file_name=wanted))
        if self._stems is not None:
            self._stems.add(_stem(name))
        return name


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix() if PurePosixPath(name).name else name
