"""What the dataset pages cost at 100,000 samples: `python bench/dataset_pages.py [N] [FOLDER]`.

Makes a commit of N samples (rows only: they share one picture), one of 200 changes on it, and one
that follows both; then asks for every list page as a signed-in person does, without an index and
with one. Prints tables in Markdown. Offline; takes about a minute on one core.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import msgspec
import numpy as np
from litestar.testing import TestClient

from sightloop.datasets import comparing, indexes
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.index import decode_index, encode_index
from sightloop.datasets.taxonomy import class_id_of
from sightloop.datasets.values import Capture, LabelledObject, Sample, imported_annotations
from sightloop.datasets.values import sample_id as id_of
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Workspace
from sightloop.server.app import build_app
from sightloop.server.console.session import begin_session
from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.wiring import create_workspace, ensure_token

T = TypeVar("T")
CLASSES = [f"class {number}" for number in range(20)]
N_CHANGED = 200
N_TRIES = 7
LANES = (None, None, "audit", "uncertain", "drift")


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(folder)
        workspace = create_workspace(root / "plant", {})
        began = time.perf_counter()
        first, second = commit_all(workspace, n)
        print(f"{n:,} samples committed in {time.perf_counter() - began:.0f} s\n")
        show_index(workspace, first, second)
        show_pages(workspace, first, second)
        workspace.db.close()


def commit_all(workspace: Workspace, n: int) -> tuple[Digest, Digest]:
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    image = workspace.blobs.put(cv2.imencode(".jpg", picture)[1].tobytes())
    samples = list(made_samples(image, n))
    first = commit(workspace, samples, "everything")
    changed = [
        msgspec.structs.replace(one, annotations=one.annotations[:1], tags=["looked-at"])
        for one in samples[:N_CHANGED]
    ]
    return first, commit(workspace, changed, "some boxes less")


def commit(workspace: Workspace, samples: list[Sample], message: str) -> Digest:
    request = CommitSamples(branch="main", message=message, upserts=samples, new_classes=CLASSES)
    return commit_samples(workspace, LOCAL_CALL, request).commit


def made_samples(image: Digest, n: int) -> Iterator[Sample]:
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 300, (n, 6, 2))
    sides = rng.lognormal(3.3, 0.9, (n, 6, 2)).clip(3, 170)
    n_boxes, picked = rng.integers(0, 7, n), rng.integers(0, len(CLASSES), (n, 6))
    for number in range(n):
        capture = Capture("camera", f"line {number % 7}", number)
        identity = id_of(image, capture)
        boxes = np.concatenate([corners[number], corners[number] + sides[number]], axis=1)
        found = [
            LabelledObject(class_id_of(CLASSES[picked[number][i]]), BoxPx(*boxes[i].tolist()), {})
            for i in range(n_boxes[number])
        ]
        yield Sample(
            id=identity,
            image=image,
            capture=capture,
            width_px=640,
            height_px=480,
            media_type="image/jpeg",
            file_name=f"line-{number % 7}/{number:06}.jpg",
            split_key=f"part {number // 3}",
            slices={"line": f"L{number % 7}", "light": ("low", "high")[number % 2]},
            lane=LANES[number % len(LANES)],
            labelled_for=[class_id_of(name) for name in CLASSES],
            annotations=imported_annotations(identity, found),
        )


def show_index(workspace: Workspace, first: Digest, second: Digest) -> None:
    whole_s, index = timed(lambda: indexes.index_of(workspace, first))
    assert isinstance(index, indexes.Index)
    changed_s, _ = timed(lambda: indexes.index_of(workspace, second))
    content = encode_index(index)
    read_s, _ = timed(lambda: decode_index(content, commit=first))
    print("| index of a commit | |\n|---|---:|")
    print(f"| made from {index.n:,} rows with {len(index.areas_px2):,} boxes | {whole_s:.2f} s |")
    print(f"| made from its parent's and {N_CHANGED} changes | {changed_s * 1000:.0f} ms |")
    print(f"| read from its file of {len(content) / 1e6:.1f} MB | {read_s * 1000:.0f} ms |\n")


def show_pages(workspace: Workspace, first: Digest, second: Digest) -> None:
    a, b = (one.removeprefix("sha256:") for one in (first, second))
    sample = indexes.index_of(workspace, first)
    assert isinstance(sample, indexes.Index)
    identity = sample.ids_of([sample.n // 2])[0]
    many = "class=class-3&size=small&slice=line%3DL2&slice=light%3Dlow&split=train"
    pages = [
        ("branches and history", "/datasets"),
        ("images, first page", f"/datasets/{a}"),
        ("images, from the middle on", f"/datasets/{a}?after={identity}"),
        ("class", f"/datasets/{a}?class=class-3"),
        ("class, box size, two slices, split", f"/datasets/{a}?{many}"),
        ("lane, far into the list", f"/datasets/{a}?lane=drift&after=f0{'0' * 30}"),
        ("without boxes", f"/datasets/{a}?boxes=none"),
        ("statistics", f"/datasets/{a}?tab=statistics"),
        ("one sample", f"/datasets/{a}/samples/{identity}"),
        (f"{N_CHANGED} changes", f"/datasets/{b}?tab=changes"),
        ("compare with itself", f"/datasets/compare?a={a}&b={a}"),
    ]
    with TestClient(build_app(workspace), base_url="http://testserver.local") as client:
        session = begin_session(workspace, ensure_token(workspace))
        client.cookies.set("sightloop_session", session)
        client.get("/loop")
        print("| page | no index yet | index as a file | index in memory | size |")
        print("|---|---:|---:|---:|---:|")
        for name, address in pages:
            cold = [ask(client, address, forget(workspace, files=True)) for _ in range(3)]
            wait_for_index(workspace, first, second)
            filed = [ask(client, address, forget(workspace, files=False)) for _ in range(N_TRIES)]
            warm = [ask(client, address) for _ in range(N_TRIES)]
            size = len(client.get(address).content)
            cells = [median_ms(one) for one in (cold, filed, warm)]
            print(f"| {name} | {' | '.join(cells)} | {size / 1000:.0f} kB |")


def forget(workspace: Workspace, *, files: bool) -> Callable[[], None]:
    def act() -> None:
        indexes._INDEXES.forget()  # noqa: SLF001 - a new process has nothing in memory
        comparing._COMPARISONS.forget()  # noqa: SLF001
        if files:
            for path in (workspace.state / indexes.FOLDER).glob("*.index"):
                path.unlink()

    return act


def wait_for_index(workspace: Workspace, *commits: Digest) -> None:
    for one in commits:
        indexes.index_of(workspace, one)


def ask(client: TestClient, address: str, prepare: Callable[[], None] = lambda: None) -> float:
    prepare()
    seconds, answer = timed(lambda: client.get(address))
    assert answer.status_code == 200, answer.text
    return seconds


def timed(act: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    result = act()
    return time.perf_counter() - began, result


def median_ms(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ms"


if __name__ == "__main__":
    main()
