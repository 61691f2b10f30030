"""Reading a job's lines while the engine writes them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sightloop.contracts.job import JobLine, MetricLine
from sightloop.training.errors import ProtocolBroken

CHUNK_BYTES = 4 << 20
MAX_LINE_BYTES = 1 << 20
_decoder = msgspec.json.Decoder(JobLine)


class Tail:
    """The lines of one `events.jsonl`, each returned once, in the order of their numbers.

    A last line without its end is not there yet: the engine may be writing it, or have died
    doing so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._torn = b""
        self._n_read = 0

    def read(self) -> list[JobLine]:
        """The lines that were completed since the last call; empty before the file exists.

        Raises:
            ProtocolBroken: a line is not what docs/formats/job.md allows, or a number is missing.
        """
        *whole, self._torn = (self._torn + self._read_on()).split(b"\n")
        if len(self._torn) > MAX_LINE_BYTES:
            raise self._broken(f"is longer than {MAX_LINE_BYTES} bytes", at=self._n_read + 1)
        return [self._line_of(text) for text in whole]

    def _read_on(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read(CHUNK_BYTES)
        except FileNotFoundError:
            return b""
        self._offset += len(content)
        return content

    def _line_of(self, text: bytes) -> JobLine:
        expected = self._n_read + 1
        try:
            line: JobLine = _decoder.decode(text)
        except msgspec.DecodeError as error:  # its subclass ValidationError included
            raise self._broken(f"cannot be read ({error})", at=expected) from error
        if line.n != expected:
            raise self._broken(f"has number {line.n}, not {expected}", at=expected)
        if isinstance(line, MetricLine) and not 0 < len(line.name) <= 250:
            raise self._broken("names a metric with no or more than 250 characters", at=expected)
        self._n_read = expected
        return line

    def _broken(self, problem: str, *, at: int) -> ProtocolBroken:
        return ProtocolBroken(where=f"{self._path}, line {at}", problem=f"the line {problem}")
