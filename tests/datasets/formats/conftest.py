"""Commits of every kind of geometry, and the way of one through files and back."""

from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.exporting import ExportDataset, export_dataset
from sightloop.datasets.geometry import (
    BoxPx,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    WholeImage,
    enclosing,
)
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.masks import bounds_of_runs, compressed, encoded
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.datasets.values import LabelledObject, Sample, imported_annotations, sample_id
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace

SIZE = SizePx(33, 21)
CLASSES = ["hole", "spot"]

xs = st.integers(0, SIZE.width_px * 1000).map(lambda n: n / 1000)
ys = st.integers(0, SIZE.height_px * 1000).map(lambda n: n / 1000)
points = st.tuples(xs, ys)


def _has_area(corners):
    return corners[0] < corners[2] and corners[1] < corners[3]


def _box(four):
    return (min(four[0], four[2]), min(four[1], four[3]), max(four[0::2]), max(four[1::2]))


corners = st.tuples(xs, ys, xs, ys).map(_box).filter(_has_area)
boxes = corners.map(lambda four: BoxPx(*four))


@st.composite
def rings(draw):
    ring = draw(st.lists(points, min_size=3, max_size=6))
    return tuple(one for point in ring for one in point)


def _spread(some):
    flat = sum(some, ())
    return min(flat[0::2]) < max(flat[0::2]) and min(flat[1::2]) < max(flat[1::2])


@st.composite
def polygons(draw, max_rings=3, own_box=True):
    some = draw(st.lists(rings(), min_size=1, max_size=max_rings).filter(_spread))
    box = draw(boxes) if own_box and draw(st.booleans()) else enclosing(sum(some, ()))
    return PolygonPx(box.x1, box.y1, box.x2, box.y2, tuple(some))


@st.composite
def masks(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = rng.random((SIZE.height_px, SIZE.width_px)) < draw(st.sampled_from([0.02, 0.5, 1.0]))
    pixels[draw(st.integers(0, 20)), draw(st.integers(0, 32))] = True
    runs = encoded(pixels)
    box = bounds_of_runs(runs, SIZE)
    return MaskPx(box.x1, box.y1, box.x2, box.y2, compressed(runs))


@st.composite
def keypoints(draw, n_points=2):
    some = [(*draw(points), draw(st.sampled_from([0.0, 1.0, 2.0]))) for _ in range(n_points)]
    some[0] = (*draw(points), draw(st.sampled_from([1.0, 2.0])))
    box = draw(boxes)
    flat = tuple(one for point in some for one in point)
    return KeypointsPx(box.x1, box.y1, box.x2, box.y2, flat)


@st.composite
def oriented(draw):
    four = draw(st.tuples(points, points, points, points).filter(lambda one: _spread(list(one))))
    return OrientedBoxPx(tuple(one for point in four for one in point))


attributes = st.dictionaries(
    st.text(min_size=1, max_size=4),
    st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    max_size=2,
)


class Way(NamedTuple):
    """A commit, what its export said, and the commit of the import of that."""

    first: list[Sample]
    second: list[Sample]
    roots_equal: bool
    exported: Any
    imported: Any


class Round:
    """Sends samples through files of a format."""

    def __init__(self, folder, jpeg):
        self._folder = folder
        self._jpeg = jpeg
        self.workspace = fresh_workspace(folder / "workspace")

    def sample(self, seed, geometries, **fields):
        image = self.workspace.blobs.put(
            self._jpeg(seed, width_px=SIZE.width_px, height_px=SIZE.height_px)
        )
        new_id = sample_id(image, None)
        found = [LabelledObject(name, shape, facts) for name, shape, facts in geometries]
        values = {
            "file_name": f"{seed}.jpg",
            "split_key": image,
            "labelled_for": CLASSES,
            "annotations": imported_annotations(new_id, found),
        }
        return Sample(
            id=new_id,
            image=image,
            width_px=SIZE.width_px,
            height_px=SIZE.height_px,
            media_type="image/jpeg",
            **{**values, **fields},
        )

    def commit(self, samples):
        request = CommitSamples(
            branch="main", message="m", upserts=samples, new_classes=list(CLASSES)
        )
        return commit_samples(self.workspace, LOCAL_CALL, request)

    def go(self, samples, *, format="coco", read=None, **fields):  # noqa: A002
        first = self.commit(samples).commit
        folder = str(self._folder / "out")
        request = ExportDataset(ref="main", folder=folder, format=format)
        exported = export_dataset(self.workspace, LOCAL_CALL, request)
        wanted = ImportDataset(
            source=exported.source,
            images=exported.images,
            format=read or format,
            branch="again",
            **fields,
        )
        if format == "coco":
            wanted = ImportDataset(
                source=exported.source,
                branch="again",
                split_key="split_key",
                slice_fields=exported.slice_fields,
                **fields,
            )
        imported = import_dataset(self.workspace, LOCAL_CALL, wanted)
        roots = {read_commit(self.workspace, one).root for one in (first, imported.commit)}
        return Way(
            read_samples(self.workspace, first),
            read_samples(self.workspace, imported.commit),
            len(roots) == 1,
            exported,
            imported,
        )

    def close(self):
        self.workspace.db.close()


@pytest.fixture
def rounds(tmp_path_factory, jpeg):
    """Makes rounds, each in a workspace of its own."""
    made = []

    def make():
        made.append(Round(tmp_path_factory.mktemp("round"), jpeg))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def new_round(jpeg):
    """Makes a round in a folder that is given; whoever asks for it closes it."""

    def make(folder):
        folder.mkdir()
        return Round(folder, jpeg)

    return make


SHAPES = {
    "box": boxes,
    "polygon": polygons(),
    "outline": polygons(max_rings=1, own_box=False),
    "mask": masks(),
    "keypoints": keypoints(),
    "oriented": oriented(),
    "image": st.just(WholeImage()),
}


@pytest.fixture(scope="session")
def shapes():
    """Strategies for every geometry, by name."""
    return SHAPES


@pytest.fixture(scope="session")
def labels_of():
    """A strategy for the labels of one image: class, geometry, attributes."""

    def make(*names, facts=attributes, max_size=4):
        one = st.tuples(st.sampled_from(CLASSES), st.one_of(*(SHAPES[n] for n in names)), facts)
        return st.lists(one, max_size=max_size)

    return make
