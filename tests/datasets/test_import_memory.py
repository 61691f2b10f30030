"""An import holds what it says of images in memory, never the images."""

import subprocess
import sys

IMPORT = """
import os, resource, struct, sys
from pathlib import Path
import zlib

root = Path(sys.argv[1])
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
size = struct.pack(">IIBBBBB", 100, 200, 8, 0, 0, 0, 0)
for at in range(5_000):
    pixels = zlib.compress(b"".join(b"\\0" + os.urandom(100) for _ in range(200)), 0)
    body = chunk(b"IHDR", size) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    path = root / "images" / f"{at // 1000}" / f"{at}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + body)

import sightloop
with sightloop.open(root / "workspace", create=True) as ds:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert ds.import_folder(root / "images").n_new == 5_000
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) // 1024)
"""


def test_a_hundred_megabytes_of_images_take_less_than_forty_to_import(tmp_path):
    run = [sys.executable, "-c", IMPORT, str(tmp_path)]
    grown_mb = int(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert grown_mb < 40
