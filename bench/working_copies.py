"""How long import, status, commit and checkout of a folder take, beside copying that folder.

`python bench/working_copies.py [N_FILES] [BYTES_PER_FILE]` makes a folder of random images (PNG
containers around random bytes), works with it in a temporary workspace and prints wall seconds,
processor seconds and the peak memory of the process. Nothing is deleted before the end: systems
are slow to reuse the inodes of files that were deleted a moment ago.
"""

from __future__ import annotations

import os
import resource
import shutil
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sightloop

N_FILES, BYTES_PER_FILE, N_NEW = 10_000, 50_000, 10
PER_FOLDER = 1_000
Result = TypeVar("Result")


def main(n_files: int, bytes_per_file: int) -> None:
    root = Path(tempfile.mkdtemp(prefix="sightloop-bench-"))
    try:
        data = root / "data"
        for at in range(n_files):
            put_image(data / f"{at // PER_FOLDER:04d}" / f"{at:07d}.png", bytes_per_file)
        os.sync()
        timed("cp -r", lambda: shutil.copytree(data, root / "copied"))
        timed("and sync", os.sync)
        with sightloop.open(root / "workspace", create=True) as ds:
            timed("import", lambda: ds.import_folder(data))
            timed("status, unchanged", lambda: ds.status(data))
            for at in range(N_NEW):
                put_image(data / f"new{at}.png", bytes_per_file)
            timed(f"status, {N_NEW} new", lambda: ds.status(data))
            before = timed(f"commit, {N_NEW} new", lambda: ds.commit(data)).commit
            out = root / "out"
            timed("checkout, all", lambda: ds.checkout("main", out))
            n_changed = n_files // 100
            for path in sorted(data.rglob("*.png"))[:n_changed]:
                put_image(path, bytes_per_file)
            timed(f"commit, {n_changed} changed", lambda: ds.commit(data))
            timed("switch by 1 %, forward", lambda: ds.checkout("main", out))
            timed("switch by 1 %, back", lambda: ds.checkout(before, out))
            timed("status, unchanged", lambda: ds.status(out))
    finally:
        shutil.rmtree(root)


def timed(what: str, action: Callable[[], Result]) -> Result:
    wall, used = time.perf_counter(), time.process_time()
    result = action()
    wall, used = time.perf_counter() - wall, time.process_time() - used
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{what:24} {wall:7.3f} s  {used:7.3f} s processor  {memory_mb:5} MB peak")
    return result


def put_image(path: Path, n_bytes: int) -> None:
    width_px = 240
    height_px = max(1, (n_bytes - 100) // (width_px + 1))
    pixels = b"".join(b"\0" + os.urandom(width_px) for _ in range(height_px))
    size = struct.pack(">IIBBBBB", width_px, height_px, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", size), (b"IDAT", zlib.compress(pixels, 0)), (b"IEND", b""))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:]]
    main(*[*numbers, N_FILES, BYTES_PER_FILE][:1], *[*numbers[1:], BYTES_PER_FILE][:1])
