"""The socket clients connect to: opened once, before anything else can go wrong, and kept."""

from __future__ import annotations

import socket

from sightloop.device.errors import AddressInUse

BACKLOG = 2048


def open_listener(host: str, port: int) -> socket.socket:
    """A listening socket; clients that connect from now on wait until they are accepted.

    Raises:
        AddressInUse: the address is taken, not ours, or not an address.
    """
    address = f"{host}:{port}"
    try:
        family, kind, protocol, _, found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressInUse(address=address, reason=error.strerror or str(error)) from error
    try:
        # Lets a restarted agent listen at once, although connections of the old one linger.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressInUse(address=address, reason=error.strerror or str(error)) from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where clients find it.

    >>> with open_listener("127.0.0.1", 0) as one:
    ...     url_of(one).rpartition(":")[0]
    'http://127.0.0.1'
    """
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
