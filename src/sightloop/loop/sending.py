"""Sending a message by apprise, which knows some hundred services by their addresses.

Nothing of an address leaves this module: what the library writes down is caught, put into plain
words and cleared of every part of the address before anybody sees it.
"""

from __future__ import annotations

import io
import logging
import threading
from typing import Any, Self

from sightloop.loop.errors import SenderMissing
from sightloop.loop.news import Message, in_plain_words, redacted

_ONE_AT_A_TIME = threading.Lock()
"""The library writes to one logger; two senders would read each other's reasons."""


def is_address(address: str) -> bool:
    """Whether the library knows a service for this address.

    Raises:
        SenderMissing: the library is not installed.
    """
    with _ONE_AT_A_TIME, _Caught():
        return _apprise().Apprise.instantiate(address, asset=_asset()) is not None


def send(address: str, message: Message) -> str:
    """Send it now; `""` when it was taken, else why not, in words without the address.

    Blocks for some seconds when nobody answers.

    Raises:
        SenderMissing: the library is not installed.
    """
    apprise = _apprise()
    with _ONE_AT_A_TIME, _Caught() as caught:
        sender = apprise.Apprise(asset=_asset())
        try:
            is_sent = bool(sender.add(address)) and bool(
                sender.notify(
                    title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT
                )
            )
        except Exception as error:  # noqa: BLE001 - a hundred plugins of others, any may have bugs
            return redacted(f"its plugin failed ({type(error).__name__}: {error})", address)
    return "" if is_sent else redacted(in_plain_words(caught.text()), address)


class _Caught:
    """Everything the library logs inside the block, and nothing of it anywhere else.

    What carries its requests is silenced as well: at its most talkative it logs their paths.
    """

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self._handler = logging.StreamHandler(self._stream)
        self._loggers = [logging.getLogger(name) for name in ("apprise", "urllib3")]

    def __enter__(self) -> Self:
        self._before = [(logger.propagate, logger.level) for logger in self._loggers]
        for logger in self._loggers:
            logger.propagate = False
            logger.addHandler(self._handler)
        self._loggers[0].setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        for logger, (propagate, level) in zip(self._loggers, self._before, strict=True):
            logger.removeHandler(self._handler)
            logger.propagate = propagate
            logger.setLevel(level)

    def text(self) -> str:
        """What was logged, newest last."""
        return self._stream.getvalue()


def _apprise() -> Any:  # noqa: ANN401 - a library without types
    try:
        import apprise  # optional, and half a second to import
    except ImportError as error:
        raise SenderMissing from error
    return apprise


def _asset() -> Any:  # noqa: ANN401 - a library without types
    from apprise import PersistentStoreMode  # nothing of ours is to lie in its folders

    return _apprise().AppriseAsset(
        app_id="Sightloop",
        app_desc="Sightloop",
        async_mode=False,
        secure_logging=True,
        storage_mode=PersistentStoreMode.MEMORY,
    )
