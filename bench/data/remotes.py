"""Push and partial pull over S3, counted by the server."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.data import generate
from bench.data.measure import run
from bench.data.results import Notes
from bench.data.sets import Plan
from bench.data.tools import DATA, REPOSITORY, Dvc, Sightloop

ROUNDS = 3
COUNTED = ("requests", "bytes in", "bytes out")
"""What the server tells: of bytes, those in the bodies of requests and of answers."""

KEYS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def play(plan: Plan, scratch: Path, peers: Path, notes: Notes) -> None:
    """Push everything; then, elsewhere, pull the images of one class: one of a hundred."""
    ours, dvc = Sightloop(scratch / "remote" / "ours"), Dvc(scratch / "remote" / "dvc", peers)
    n, size = plan.n_small, plan.large_bytes
    generate.write_images(ours.data / "images", range(n), size)
    generate.write_coco(ours.data, n)
    generate.write_images(dvc.data, range(n), size)
    notes.fact("set files", n)
    notes.fact("set bytes", sum(one.stat().st_size for one in ours.data.rglob("*.*")))
    with s3_server(peers) as server:
        _play_ours(ours, server, notes)
        _play_dvc(dvc, server, notes, rare=[at for at in range(n) if at % 100 == 0])


class Server:
    """Where it answers, and what it counted."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def counts(self) -> dict[str, int]:
        """Requests by method and bytes since the last call."""
        with urllib.request.urlopen(self.url + "/__counts") as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def make_bucket(self, name: str) -> None:
        """An empty bucket."""
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")
        urllib.request.urlopen(request).close()
        self.counts()


@contextmanager
def s3_server(peers: Path) -> Iterator[Server]:
    """A server for this block, on this machine only."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [str(peers / "python"), "-m", "bench.data.s3_server", str(port)]
    process = subprocess.Popen(
        argv, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    server = Server(port)
    try:
        _await(server)
        yield server
    finally:
        process.terminate()
        process.wait()


def _await(server: Server) -> None:
    for _ in range(600):
        try:
            server.counts()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the S3 server did not start")


def _play_ours(ours: Sightloop, server: Server, notes: Notes) -> None:
    ours.env |= KEYS
    ours.begin_anew()
    ours.take()
    for at in range(ROUNDS):
        bucket = f"ours{at}"
        server.make_bucket(bucket)
        where = ["--endpoint", server.url, "--region", "us-east-1"]
        ours.data_command("remote", "add", bucket, f"s3://{bucket}/set", *where)
        server.counts()
        notes.cost("push", ours.name, ours.data_command("push", "--to", bucket).cost)
        _tell(notes, "push", ours.name, server)
        elsewhere = ours.root.parent / f"clone{at}"
        rare = ["--class", generate.RARE]
        cost = ours.data_command("clone", f"s3://{bucket}/set", elsewhere, *rare, *where).cost
        notes.cost("partial pull", ours.name, cost)
        _tell(notes, "partial pull", ours.name, server)


def _play_dvc(dvc: Dvc, server: Server, notes: Notes, *, rare: list[int]) -> None:
    dvc.env |= KEYS
    dvc.begin_anew()
    server.make_bucket("dvc")
    dvc.command("remote", "add", "--default", "s3", "s3://dvc/set")
    dvc.command("remote", "modify", "s3", "endpointurl", server.url)
    dvc.take()
    server.counts()
    notes.cost("push", dvc.name, dvc.command("push", "--quiet"))
    _tell(notes, "push", dvc.name, server)
    elsewhere = Dvc(dvc.root.parent / "dvc-clone", dvc.peers)
    elsewhere.env |= KEYS
    run(["git", "clone", "--quiet", dvc.root, elsewhere.root], cwd=dvc.root)
    wanted = [f"{DATA}/{generate.image_name(at)}" for at in rare]
    notes.cost("partial pull", dvc.name, elsewhere.command("pull", "--quiet", *wanted))
    _tell(notes, "partial pull", dvc.name, server)


def _tell(notes: Notes, number: str, who: str, server: Server) -> None:
    counts = server.counts()
    for what in COUNTED:
        notes.fact(f"{number}: {what}, {who}", counts.get(what, 0))
