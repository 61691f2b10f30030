"""A capture process as the supervisor sees it: started, asked, and killed when it says nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

from sightloop.device.errors import SourceLost
from sightloop.device.framing import LENGTH
from sightloop.device.sources.declared import SourceDeclaration
from sightloop.device.sources.messages import (
    Capture,
    FromCapture,
    Next,
    ToCapture,
    frame,
    read_from_capture,
)

_ENVIRONMENT = {
    # What FFmpeg and drivers print may hold the address, and with it a password.
    "OPENCV_LOG_LEVEL": "OFF",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}


class CaptureProcess:
    """Made by `start_capture`; for the event loop."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self) -> None:
        """Ask for the newest picture; the one before is dealt with."""
        self._send(Next())

    async def receive(self, *, timeout_s: float | None) -> FromCapture:
        """What it says next.

        Raises:
            SourceLost: it said nothing for so long, or ended.
        """
        try:
            async with asyncio.timeout(timeout_s):
                (n_bytes,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
                return read_from_capture(await self._reader.readexactly(n_bytes))
        except TimeoutError as error:
            raise SourceLost(reason=f"no usable picture for {timeout_s:g} s") from error
        except (asyncio.IncompleteReadError, OSError) as error:
            raise SourceLost(reason="the process that reads it ended") from error

    async def close(self) -> None:
        """End the process, by force: it may be deep in a driver."""
        self._writer.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    def begin(self, capture: Capture) -> None:
        """Say what it reads."""
        self._send(capture)

    def _send(self, message: ToCapture) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame(message))


async def start_capture(
    source: SourceDeclaration, ledger: Path, *, max_pixels: int, max_bytes: int
) -> CaptureProcess:
    """A process that reads the source.

    Raises:
        SourceLost: the system has no room for another process.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sightloop.device.sources.capture",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **_ENVIRONMENT},
            )
        except OSError as error:
            ours.close()
            raise SourceLost(reason=str(error)) from error
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    started = CaptureProcess(process, reader, writer)
    started.begin(
        Capture(source=source, ledger=str(ledger), max_pixels=max_pixels, max_bytes=max_bytes)
    )
    return started
