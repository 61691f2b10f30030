"""What systemd is told: that the agent serves, that its event loop turns, that it stops.

A datagram to the socket named by NOTIFY_SOCKET; without one, nothing is told.

Source: sd_notify(3).
"""

from __future__ import annotations

import contextlib
import socket
from typing import Literal

VARIABLE = "NOTIFY_SOCKET"

News = Literal["READY=1", "WATCHDOG=1", "STOPPING=1"]


class ServiceManager:
    """Told from the event loop: a datagram never waits."""

    def __init__(self, address: str) -> None:
        """`address` as the variable gives it: a path, @NAME for an abstract one, or empty."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def tell(self, news: News) -> None:
        """Send it; a manager that does not listen is no reason to stop serving."""
        if self._address:
            with contextlib.suppress(OSError):
                self._socket.sendto(news.encode(), self._address)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
