"""Sends the spool to the server, in order and in batches, and forgets what the server stored.

Sending twice does no harm: the server knows a message by device and number. So nothing is written
down before sending; whatever happens in between, the batch is simply sent again.
"""

from __future__ import annotations

import random

from sightloop.contracts.decode import WrongFormat
from sightloop.contracts.telemetry import TelemetryBatch
from sightloop.device.backoff import retry_delay_s
from sightloop.device.drop_order import shelf_of
from sightloop.device.errors import ServerAway, ServerRefused
from sightloop.device.log import Log
from sightloop.device.server_link import ServerLink
from sightloop.device.spool import Spool, Spooled
from sightloop.kernel.digests import digest_of

BATCH_MOST = 200
BATCH_BYTES = 8 << 20

_NOT_THE_BATCH = frozenset({401, 403, 404, 405, 410})
"""The server refuses us, or is not the right one: no message is to blame."""


class Forwarder:
    """One step of a `RepeatingThread`."""

    def __init__(
        self, spool: Spool, link: ServerLink, *, every_s: float, log: Log, rng: random.Random
    ) -> None:
        self._spool = spool
        self._link = link
        self._every_s = every_s
        self._log = log
        self._rng = rng
        self._n_failures = 0

    def step(self) -> float:
        """Send what can be sent; seconds until it is worth trying again."""
        try:
            self.forward_all()
        except (ServerAway, ServerRefused, WrongFormat) as error:
            self._n_failures += 1
            if self._n_failures == 1:
                self._log.event("spool.waiting", reason=error.message)
            asked_s = error.retry_after_s if isinstance(error, ServerAway) else None
            return retry_delay_s(self._n_failures, rng=self._rng, retry_after_s=asked_s)
        self._n_failures = 0
        return self._every_s

    def forward_all(self) -> int:
        """Send until the spool is empty; how many messages were stored.

        Raises:
            ServerAway, ServerRefused: not now; what was not confirmed is still spooled.
            WrongFormat: the server's answer is not one.
        """
        n_stored = 0
        n_most = BATCH_MOST
        while batch := self._spool.next_batch(n_most=n_most, most_bytes=BATCH_BYTES):
            try:
                n_now = self._send(batch)
            except ServerRefused as error:
                if error.status in _NOT_THE_BATCH:
                    raise
                n_most = self._isolate(batch, error)
                continue
            n_stored += n_now
            n_most = BATCH_MOST
            if n_now == 0:
                break  # The server wants something first; ask again next time.
        return n_stored

    def _send(self, batch: list[Spooled]) -> int:
        for spooled in batch:
            if spooled.image:
                self._link.upload(digest_of(spooled.image), spooled.image)
        reply = self._link.send_batch(TelemetryBatch(envelopes=[one.envelope for one in batch]))
        sent = {one.envelope.sequence for one in batch}
        self._spool.confirm(sent & set(reply.stored))
        return len(sent & set(reply.stored))

    def _isolate(self, batch: list[Spooled], error: ServerRefused) -> int:
        """Halve a refused batch until the message at fault is alone, then give that up."""
        if len(batch) == 1:
            envelope = batch[0].envelope
            self._log.event("spool.refused", sequence=envelope.sequence, reason=error.message)
            self._spool.give_up(envelope.sequence, shelf=shelf_of(envelope.body))
            return BATCH_MOST
        return len(batch) // 2
