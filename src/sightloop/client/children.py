"""What forked children of a run log, such as a data loader's workers."""

from __future__ import annotations

import os
import secrets
import threading
from pathlib import Path

from sightloop.client.queueing import DISK, Item, Numbering
from sightloop.client.spool import PartWriter, encode_line
from sightloop.client.troubles import Troubles


class ChildPart:
    """Writes every call to a part of its own, at once and without a thread.

    A worker ends without saying so, often by a signal; a line that was written is not lost by it.
    Steps are counted by each child for itself.
    """

    def __init__(self, folder: Path, troubles: Troubles) -> None:
        self._folder = folder
        self._troubles = troubles
        self._numbering = Numbering()
        self._lock = threading.Lock()
        self._writer: PartWriter | None = None

    def put(self, item: Item) -> None:
        """The item is in the spool; the parent forwards it."""
        try:
            with self._lock:
                if self._writer is None:
                    name = f"child-{os.getpid()}-{secrets.token_hex(4)}"
                    self._writer = PartWriter(self._folder, name)
                for record in self._numbering.records([item], self._troubles):
                    self._writer.append(encode_line(record))
        except OSError as error:
            self._troubles.add(DISK, error)
