"""One operation of Sightloop, timed in its own process: `-m bench.data.sightloop_operations ...`.

For numbers that can only mean the work itself, and for a fair look beside Oxen, which is timed in
the same way: without loading Python or the package. `data commit` and the others are timed whole
elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice

import msgspec

import sightloop
from bench.data import generate
from bench.data.stopwatch import say, timed
from sightloop.dataset import Dataset
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.samples import iterate_samples, read_samples
from sightloop.datasets.taxonomy import class_id_of
from sightloop.datasets.values import LabelledObject, Sample, imported_annotations
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.workspace import Call


def main() -> None:
    what, *words = sys.argv[1:]
    with sightloop.open(".") as ds:
        if what == "label":
            label_everything(ds, words[0])
            return
        if what == "relabel":
            changed = list(relabelled(ds, words[0], int(words[1]), int(words[2])))
            say(timed(lambda: commit(ds, words[0], changed)))
            return
        operations = {
            "status": lambda: ds.status(words[0]),
            "commit": lambda: ds.commit(words[0], message="more"),
            "switch": lambda: ds.checkout(words[0], words[1]),
            "diff": lambda: ds.diff(words[0], words[1], limit=1000),
        }
        say(timed(operations[what]))


def label_everything(ds: Dataset, branch: str) -> None:
    """Put boxes on every sample of the branch that has none."""
    samples = read_samples(ds.workspace, ds.show(branch).commit)
    commit(ds, branch, [labelled(one, number) for number, one in enumerate(samples)])


def labelled(sample: Sample, number: int) -> Sample:
    found = [
        LabelledObject(
            class_id_of(generate.class_of(number, box)),
            BoxPx(*map(float, generate.corners_of(number, box))),
            {},
        )
        for box in range(generate.N_BOXES)
    ]
    return msgspec.structs.replace(
        sample,
        annotations=imported_annotations(sample.id, found),
        labelled_for=[class_id_of(name) for name in sorted(generate.CLASSES)],
    )


def relabelled(ds: Dataset, branch: str, n: int, shift_px: int) -> Iterator[Sample]:
    """Some samples of the branch, the first box of each moved; spread over all of them."""
    head = ds.show(branch)
    step = max(head.record.n_samples // n, 1)
    with ds.workspace.db.read() as tx:  # one at a time: a million at once would fill the memory
        for one in islice(iterate_samples(tx, head.commit), 0, n * step, step):
            first, *rest = one.annotations
            box = first.geometry
            assert isinstance(box, BoxPx)
            moved = BoxPx(box.x1 + shift_px, box.y1, box.x2 + shift_px, box.y2)
            yield msgspec.structs.replace(
                one, annotations=[msgspec.structs.replace(first, geometry=moved), *rest]
            )


def commit(ds: Dataset, branch: str, samples: list[Sample]) -> None:
    request = CommitSamples(
        branch=branch, message="labels", upserts=samples, new_classes=generate.CLASSES
    )
    commit_samples(ds.workspace, Call(LOCAL), request)


if __name__ == "__main__":
    main()
