"""Text that grows sample by sample on its way into a file, a little of it in memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO

_AT_ONCE = 1000


class TextPart:
    """Pieces of text in a file of their own until `move_into`.

    The file is open only while it is written to: an export that ends in the middle by an error
    leaves nothing open.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[str] = []
        path.touch()

    def add(self, text: str) -> None:
        """Append it."""
        self._waiting.append(text)
        if len(self._waiting) >= _AT_ONCE:
            self._flush()

    def move_into(self, file: IO[str]) -> None:
        """Append all of it to the file; the part is gone."""
        self._flush()
        with self._path.open(encoding="utf-8", newline="") as part:
            shutil.copyfileobj(part, file)
        self._path.unlink()

    def _flush(self) -> None:
        with self._path.open("a", encoding="utf-8", newline="") as part:
            part.writelines(self._waiting)
        self._waiting = []
