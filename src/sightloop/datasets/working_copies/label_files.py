"""The bytes of label files: plain files of a sensible size, and nothing else is ever opened."""

from __future__ import annotations

import errno
import os
import stat

from sightloop.datasets.working_copies.labels import BadLabels

MAX_BYTES = 1 << 26
"""64 MiB: a mask of a large photograph takes 1 MiB, so what is larger is no label file."""


def read_label_file(path: str) -> bytes | None:
    """The file's bytes; None when there is none.

    Raises:
        BadLabels: what is there is no plain file, cannot be read, or is too large.
    """
    try:
        # Not blocking: what looks like a file may be a pipe. Not following: whoever could put a
        # link there must not choose what is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadLabels("is a symbolic link; its target may change") from error
        raise BadLabels(f"cannot be read ({error.strerror})") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise BadLabels("is a folder, pipe or device, not a file")
        if facts.st_size > MAX_BYTES:
            raise BadLabels(f"has {facts.st_size} bytes, more than the {MAX_BYTES} allowed")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES)
    finally:
        os.close(descriptor)
