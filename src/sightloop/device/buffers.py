"""Shared memory for request bodies: a few equal buffers that supervisor and workers both see.

The supervisor owns the memory and decides who uses which buffer; a worker that dies leaves nothing
to clean up. Pages cost memory only where something was written, and those of large bodies are
given back after use.
"""

from __future__ import annotations

import mmap
import os
import tempfile

KEEP_BYTES = 1 << 20
"""A buffer keeps so much of its memory after use; typical images then never fault a page in."""


class Buffers:
    """`n` buffers of `size_bytes` each in one anonymous file."""

    def __init__(self, n: int, size_bytes: int, *, descriptor: int | None = None) -> None:
        """Make the memory, or map that of another process by its inherited descriptor."""
        self.n = n
        self.size_bytes = -(-size_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        total_bytes = n * self.size_bytes
        if descriptor is None:
            descriptor = _anonymous_file()
            os.ftruncate(descriptor, total_bytes)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, total_bytes)

    def write(self, index: int, content: bytes) -> None:
        """Put the content at the beginning of a buffer."""
        assert len(content) <= self.size_bytes, "the front refuses longer bodies"
        begin = index * self.size_bytes
        self._memory[begin : begin + len(content)] = content

    def read(self, index: int, n_bytes: int) -> bytes:
        """A copy of the first bytes of a buffer."""
        begin = index * self.size_bytes
        return self._memory[begin : begin + n_bytes]

    def trim(self, index: int, n_bytes: int) -> None:
        """Give memory back that a long body of `n_bytes` took."""
        if n_bytes > KEEP_BYTES and hasattr(mmap, "MADV_REMOVE"):
            begin = index * self.size_bytes + KEEP_BYTES
            self._memory.madvise(mmap.MADV_REMOVE, begin, self.size_bytes - KEEP_BYTES)

    def close(self) -> None:
        """Unmap and close; the memory is freed when the last process did so."""
        self._memory.close()
        os.close(self.descriptor)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sightloop-bodies", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:  # elsewhere: a file without a name
        return os.dup(file.fileno())
