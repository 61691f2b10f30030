"""What was found in the pictures of one stream, as lines of JSON on the device's own disk.

results/STREAM/active.jsonl is being written; it becomes `NUMBER-TIME.jsonl` when it is long or old
enough, and the oldest of those are deleted when all of them together take too much room. A line is
with the system as soon as it is counted, so a killed agent loses none; after a power cut those of
the last `SYNC_S` may be gone, and a line that is half there is cut off. Nothing else is ever lost.

Specification: docs/formats/results.md.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sightloop.kernel.clock import format_utc
from sightloop.kernel.files import disk_errors, sync_folder

ACTIVE = "active.jsonl"
SYNC_S = 5.0

_CLOSED = re.compile(r"(\d{8})-.*\.jsonl")


@dataclass(frozen=True, slots=True)
class ResultLimits:
    """How much of its results a stream keeps."""

    total_bytes: int
    """On disk, never exceeded by more than one line."""
    file_bytes: int
    file_age_s: float


class ResultLog:
    """The lines of one stream. For one thread at a time."""

    def __init__(self, folder: Path, limits: ResultLimits) -> None:
        """Open the log; what an agent before left unfinished becomes a closed file.

        Raises:
            DiskFull: no room for a folder.
        """
        self._folder = folder
        self._limits = limits
        self.n_dropped = 0
        """Closed files deleted to make room."""
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(folder / ACTIVE, os.O_RDWR | os.O_CREAT, 0o644)
        self._size_bytes = self._cut_torn_line()
        self._began_s: float | None = None
        self._synced_s = 0.0
        self._is_dirty = False

    def append(self, line: bytes, *, at_s: float, at_ms: int) -> None:
        """Add one line, without its end; `at_s` is monotonic time.

        Raises:
            DiskFull: no room; the file is as it was before.
        """
        if self._is_due(len(line) + 1, at_s=at_s):
            self._rotate(at_ms=at_ms)
        content = line + b"\n"
        with disk_errors(self._folder):
            try:
                n_written = os.pwrite(self._descriptor, content, self._size_bytes)
                if n_written < len(content):  # the disk filled up in the middle of the line
                    os.pwrite(self._descriptor, content[n_written:], self._size_bytes + n_written)
            except OSError:
                os.ftruncate(self._descriptor, self._size_bytes)
                raise
        self._size_bytes += len(content)
        if self._began_s is None:
            self._began_s = at_s
        self._is_dirty = True
        self.tidy(at_s=at_s, at_ms=at_ms)

    def tidy(self, *, at_s: float, at_ms: int) -> None:
        """Called now and then: makes lines durable, closes a file that is old enough."""
        if self._is_dirty and at_s - self._synced_s >= SYNC_S:
            os.fsync(self._descriptor)
            self._synced_s, self._is_dirty = at_s, False
        if self._is_due(0, at_s=at_s):
            self._rotate(at_ms=at_ms)

    def close(self) -> None:
        """Make everything durable; the agent stops."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)

    def _is_due(self, n_more_bytes: int, *, at_s: float) -> bool:
        if self._size_bytes == 0:
            return False
        is_left_over = self._began_s is None  # by an agent that ended
        is_old = is_left_over or at_s - (self._began_s or 0.0) >= self._limits.file_age_s
        return is_old or self._size_bytes + n_more_bytes > self._limits.file_bytes

    def _rotate(self, *, at_ms: int) -> None:
        """Close the active file under its lasting name, then begin the next one."""
        closed = self._closed()
        number = 1 + (_number_of(closed[-1]) if closed else 0)
        time = format_utc(at_ms).replace(":", "-")
        os.fsync(self._descriptor)
        (self._folder / ACTIVE).replace(self._folder / f"{number:08d}-{time}.jsonl")
        os.close(self._descriptor)
        self._descriptor = os.open(self._folder / ACTIVE, os.O_RDWR | os.O_CREAT, 0o644)
        sync_folder(self._folder)
        self._size_bytes, self._began_s, self._is_dirty = 0, None, False
        self._make_room()

    def _make_room(self) -> None:
        closed = self._closed()
        sizes = [path.stat().st_size for path in closed]
        total = sum(sizes) + self._limits.file_bytes
        for path, size_bytes in zip(closed, sizes, strict=True):
            if total <= self._limits.total_bytes:
                return
            path.unlink(missing_ok=True)
            self.n_dropped += 1
            total -= size_bytes

    def _closed(self) -> list[Path]:
        """By age, which the numbers tell: the clock may have been set back."""
        return sorted(path for path in self._folder.iterdir() if _CLOSED.fullmatch(path.name))

    def _cut_torn_line(self) -> int:
        content = (self._folder / ACTIVE).read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._descriptor, whole)
        return whole


def _number_of(path: Path) -> int:
    return int(path.name[:8])
