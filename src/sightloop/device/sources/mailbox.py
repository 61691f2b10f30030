"""One place for one picture: the newest wins, and nobody waits for a reader who is late."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from sightloop.device.sources.messages import Counts

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Between the thread that reads a source and the one that sends. For both of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._is_closed = False
        self._reason = ""
        self._n_seen = 0
        self._n_dropped = 0
        self._n_garbage = 0

    def put(self, item: Item) -> None:
        """Leave the item; one that nobody took is dropped and counted."""
        with self._changed:
            self._n_seen += 1
            self._n_dropped += self._item is not None
            self._item = item
            self._changed.notify_all()

    def put_in_turn(self, item: Item) -> None:
        """Leave the item once the one before was taken: nothing is dropped."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is None)
            self._n_seen += 1
            self._item = item
            self._changed.notify_all()

    def note_garbage(self) -> None:
        """Count something that came and was no picture."""
        with self._changed:
            self._n_seen += 1
            self._n_garbage += 1

    def note_unsendable(self) -> None:
        """Count as garbage a picture that came and cannot be sent."""
        with self._changed:
            self._n_garbage += 1

    def note_skipped(self) -> None:
        """Count a picture that was passed over on purpose, to keep to a rate."""
        with self._changed:
            self._n_seen += 1
            self._n_dropped += 1

    def take(self) -> Item | None:
        """The newest item, waiting for one; None when the source has ended and all was taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._is_closed)
            item, self._item = self._item, None
            self._changed.notify_all()
            return item

    def close(self, reason: str) -> None:
        """There will be no more; the first reason stands."""
        with self._changed:
            if not self._is_closed:
                self._is_closed, self._reason = True, reason
            self._changed.notify_all()

    @property
    def reason(self) -> str:
        """Why there is no more."""
        return self._reason

    @property
    def counts(self) -> Counts:
        """What has come and gone so far."""
        with self._changed:
            return Counts(n_seen=self._n_seen, n_dropped=self._n_dropped, n_garbage=self._n_garbage)
