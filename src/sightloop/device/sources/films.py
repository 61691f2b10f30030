"""Reading what OpenCV opens: cameras of the network and of this machine, and films."""

from __future__ import annotations

import time

import cv2

from sightloop.device.sources.declared import Kind, SourceDeclaration
from sightloop.device.sources.mailbox import Mailbox
from sightloop.device.sources.pictures import usable
from sightloop.device.sources.taken import Taken, take_now

MOST_FAILED_READS = 5
"""In a row; a torn frame is one failed read, a stream that ended is all of them."""

DEFAULT_FPS = 25.0
"""Of a film that does not say."""


def open_stream(source: SourceDeclaration, kind: Kind) -> cv2.VideoCapture | None:
    """The open stream; None when nothing answers there."""
    if kind == "camera":
        camera = cv2.VideoCapture(source.url, cv2.CAP_V4L2)
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return camera if camera.isOpened() else None
    patience_ms = round(1000 * source.hang_s)
    stream = cv2.VideoCapture(
        source.url,
        cv2.CAP_FFMPEG,
        [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            patience_ms,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            patience_ms,
            # Decoding frames side by side would hold each back by as many as there are threads.
            cv2.CAP_PROP_N_THREADS,
            1,
        ],
    )
    return stream if stream.isOpened() else None


def read_live(
    stream: cv2.VideoCapture,
    mailbox: Mailbox[Taken],
    *,
    is_film: bool,
    limit: int,
) -> str:
    """Put every picture into the mailbox as it comes; why there are no more.

    A film is shown at its own speed and begins anew at its end.
    """
    period_s = 1 / _fps(stream) if is_film else 0.0
    due_s = time.monotonic()
    n_failed = 0
    while n_failed < MOST_FAILED_READS:
        is_read, frame = _read(stream)
        if not is_read and is_film and n_failed == 0:
            stream.set(cv2.CAP_PROP_POS_FRAMES, 0)
        n_failed = 0 if is_read else n_failed + 1
        if not is_read:
            continue
        picture = usable(frame, max_pixels=limit)
        if picture is None:
            mailbox.note_garbage()
        else:
            mailbox.put(take_now(picture))
        if is_film:
            due_s += period_s
            time.sleep(max(0.0, due_s - time.monotonic()))
    return "the stream ended"


def read_film(
    stream: cv2.VideoCapture,
    source: SourceDeclaration,
    mailbox: Mailbox[Taken],
    *,
    limit: int,
) -> None:
    """Put every picture of the film into the mailbox, each in its turn.

    With a rate, pictures between are passed over by the film's own time.
    """
    step_ms = 1000 / source.max_fps if source.max_fps else 0.0
    due_ms = 0.0
    while True:
        is_read, frame = _read(stream)
        if not is_read:
            return
        position_ms = max(0.0, float(stream.get(cv2.CAP_PROP_POS_MSEC)))
        picture = usable(frame, max_pixels=limit)
        if picture is None:
            mailbox.note_garbage()
        elif position_ms < due_ms:
            mailbox.note_skipped()
        else:
            due_ms += step_ms
            mailbox.put_in_turn(take_now(picture, position_ms=position_ms))


def _read(stream: cv2.VideoCapture) -> tuple[bool, object]:
    try:
        return stream.read()
    except cv2.error:
        return False, None


def _fps(stream: cv2.VideoCapture) -> float:
    fps = float(stream.get(cv2.CAP_PROP_FPS))
    return fps if 0 < fps <= 1000 else DEFAULT_FPS
