"""What remotes cost: `python bench/remotes.py [N] [FOLDER]`, N images of 10 KB (10,000).

Pushes them to a folder and to a moto S3 server over HTTP, pulls one class that 1 % of them have,
then the rest, and pushes ten more. Every step is a process of its own. Requests and bytes are
counted in the client and, for S3, at the server too. Prints a table in Markdown. moto is not a
measure of speed: it holds everything in memory and copies it several times. Offline.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.remotes.connecting import Remote
from sightloop.datasets.remotes.folder import FolderStore
from sightloop.datasets.remotes.object_store import CloudStore
from sightloop.datasets.remotes.pulling import Pull, pull_from
from sightloop.datasets.remotes.pushing import push_to
from sightloop.datasets.remotes.sources import reading
from sightloop.datasets.taxonomy import class_id_of
from sightloop.datasets.values import LabelledObject, Sample, imported_annotations, sample_id
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.testing.remote_stores import WatchedStore
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.wiring import create_workspace, open_workspace

IMAGE_BYTES = 10_000
CLASSES = ("scratch", "dent", "hole", "rare")
AT_ONCE = 5_000
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": "us-east-1",
}


def main(n: int, root: Path) -> None:
    """Make the set and print what each step cost."""
    first = root / "first"
    make_images(create_workspace(first), range(n))
    print(f"{n} images of {IMAGE_BYTES} bytes, {n * IMAGE_BYTES / 1e6:.0f} MB\n")
    print("| remote | step | requests | at the server | sent MB | received MB | s | CPU s | MB |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    tell_steps("folder", first, root / "folder", str(root / "remote"), "")
    with s3_server() as endpoint:
        tell_steps("S3", first, root / "s3", "s3://bench/set", endpoint)


def tell_steps(kind: str, first: Path, root: Path, url: str, endpoint: str) -> None:
    """Take all steps with one remote."""
    copy = root / "clone"
    n_before = 1_000_000 if kind == "folder" else 2_000_000
    for name, workspace, step in (
        ("push", first, "push"),
        ("push again", first, "push"),
        ("clone of 1 %", copy, "rare"),
        ("pull the rest", copy, "rest"),
        ("push 10 more", first, "push"),
        ("pull 10 more", copy, "rest"),
    ):
        if name == "push 10 more":
            make_images(open_workspace(first), range(n_before, n_before + 10))
        if not workspace.exists():
            create_workspace(workspace)
        before = counted(endpoint)
        cost = run_step(step, workspace, url, endpoint)
        at_server = str(counted(endpoint) - before) if endpoint else "-"
        print(
            f"| {kind} | {name} | {cost['requests']} | {at_server} | {cost['sent'] / 1e6:.2f} "
            f"| {cost['received'] / 1e6:.2f} | {cost['s']:.2f} | {cost['cpu_s']:.2f} "
            f"| {cost['peak_mb']:.0f} |",
            flush=True,
        )


def make_images(workspace: Workspace, numbers: Iterable[int]) -> None:
    """Commit images of noise with two boxes each; one in a hundred has the rare class."""
    numbers = list(numbers)
    for start in range(0, len(numbers), AT_ONCE):
        some = numbers[start : start + AT_ONCE]
        with workspace.blobs.batch() as batch:
            digests = [
                batch.put(np.random.default_rng(number).bytes(IMAGE_BYTES)) for number in some
            ]
        samples = [
            make_sample(number, digest) for number, digest in zip(some, digests, strict=True)
        ]
        request = CommitSamples(
            branch="main",
            message=f"{len(some)} images",
            upserts=samples,
            new_classes=list(CLASSES),
        )
        commit_samples(workspace, LOCAL_CALL, request)
    workspace.db.close()


def make_sample(number: int, digest: Digest) -> Sample:
    rng = np.random.default_rng(number)
    names = [CLASSES[int(one)] for one in rng.integers(0, 3, 2)]
    if number % 100 == 50:
        names[0] = CLASSES[3]
    found = []
    for name in names:
        x, y = (round(float(one), 2) for one in rng.uniform(0, 400, 2))
        box = BoxPx(x, y, x + 40.5, y + 30.25)
        found.append(LabelledObject(class_id_of(name), box, {}))
    identity = sample_id(digest, None)
    return Sample(
        id=identity,
        image=digest,
        width_px=640,
        height_px=480,
        media_type="image/jpeg",
        file_name=f"{number:07}.jpg",
        split_key=f"scene {number}",
        slices={"line": "AB"[number % 2]},
        labelled_for=sorted(class_id_of(name) for name in CLASSES),
        annotations=imported_annotations(identity, found),
    )


def run_step(step: str, workspace: Path, url: str, endpoint: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--step", step, str(workspace), url, endpoint]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **CREDENTIALS}
    )
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def take_step(step: str, root: str, url: str, endpoint: str) -> None:
    """In a process of its own: do it, and say what it cost."""
    workspace = open_workspace(Path(root))
    backend = CloudStore(url, endpoint=endpoint) if endpoint else FolderStore(Path(url))
    store = WatchedStore(backend)
    folder = workspace.state / "remotes" / ("s3" if endpoint else "folder")
    remote = Remote("s3" if endpoint else "folder", store, folder)
    start, cpu = time.perf_counter(), cpu_s()
    if step == "push":
        push_to(workspace, LOCAL_CALL, remote, ref="main")
    else:
        wanted = "rare" if step == "rare" else ""
        with reading(remote) as source:
            request = Pull(remote=remote.name, class_name=wanted)
            pull_from(workspace, LOCAL_CALL, source, request)
    cost = {
        "s": time.perf_counter() - start,
        "cpu_s": cpu_s() - cpu,
        "peak_mb": peak_mb(),
        "requests": store.n_requests.total(),
        "sent": store.bytes_written,
        "received": store.bytes_read,
    }
    print(json.dumps(cost))


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """The most memory this process has held, not counting what its parent did."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@contextmanager
def s3_server() -> Iterator[str]:
    """A moto server in a process of its own, with a bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, __file__, "--serve", str(port)])
    endpoint = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                counted(endpoint)
                break
            except OSError:
                time.sleep(0.1)
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bench", method="PUT")).close()
        yield endpoint
    finally:
        process.terminate()
        process.wait()


def counted(endpoint: str) -> int:
    """How many requests the server has answered, this kind of question apart."""
    if not endpoint:
        return 0
    with urllib.request.urlopen(f"{endpoint}/counted") as answer:
        return int(answer.read())


def serve(port: int) -> None:
    """An S3 server of moto behind a counter."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, run_simple

    class Silent(WSGIRequestHandler):
        def log(self, *_: object) -> None:
            pass

    inner = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()
    n_requests = 0

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        nonlocal n_requests
        if environ["PATH_INFO"] == "/counted":
            start("200 OK", [("Content-Type", "text/plain")])
            return [str(n_requests).encode()]
        with lock:
            n_requests += 1
        answer: Iterable[bytes] = inner(environ, start)
        return answer

    run_simple("127.0.0.1", port, app, threaded=True, request_handler=Silent)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        take_step(*sys.argv[2:])
    elif sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]))
    else:
        n_images = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
        if len(sys.argv) > 2:
            main(n_images, Path(sys.argv[2]))
        else:
            with tempfile.TemporaryDirectory() as folder:
                main(n_images, Path(folder))
