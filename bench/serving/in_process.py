"""`in_process.py MODEL_FILE IMAGES THREADS`: what the same bytes cost without any server.

Our own decode, letterbox, run and read, by the functions the worker calls. For each line on
standard input, a number of seconds, measures that long and writes one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import msgspec

from sightloop.contracts.bundle import Thresholds
from sightloop.inference.detector import open_model, reported
from sightloop.inference.images import decode_picture

WARM_UP = 30


def main() -> None:
    model_file, images_file, threads = sys.argv[1:]
    images = msgspec.msgpack.decode(Path(images_file).read_bytes(), type=list[bytes])
    thresholds = Thresholds(score=0.25)
    detector = open_model(Path(model_file), thresholds=thresholds, threads=int(threads))

    def look(content: bytes) -> int:
        seen = detector.look(decode_picture(content, name="sent"))
        return len(reported(seen.detections, thresholds))

    for n in range(WARM_UP):
        look(images[n % len(images)])
    for line in sys.stdin:
        measure(images, look, float(line))


def measure(images, look, seconds: float) -> None:
    latencies_s: list[float] = []
    cpu_s = _cpu_s()
    begin_s = time.perf_counter()
    while time.perf_counter() < begin_s + seconds:
        start_s = time.perf_counter()
        look(images[len(latencies_s) % len(images)])
        latencies_s.append(time.perf_counter() - start_s)
    found = {
        "latencies_s": latencies_s,
        "wall_s": time.perf_counter() - begin_s,
        "server_cpu_s": _cpu_s() - cpu_s,
        "n_failed": 0,
    }
    print(json.dumps(found), flush=True)


def _cpu_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    main()
