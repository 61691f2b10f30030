"""Whatever bytes stand in a label file, an import ends in a report or in an error with a code."""

import re
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from sightloop.datasets.changes import Change
from sightloop.datasets.drafts import Target, commit_change
from sightloop.datasets.exporting import ExportDataset, export_dataset
from sightloop.datasets.formats.turned_boxes import TurnedBox
from sightloop.datasets.geometry import (
    BoxPx,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    WholeImage,
)
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.masks import compressed
from sightloop.datasets.values import LabelledObject, Taxonomy, TaxonomyClass, imported_annotations
from sightloop.kernel.errors import SightloopError
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace

GEOMETRIES = (
    BoxPx(1, 2, 11, 12),
    PolygonPx(1, 1, 9, 9, ((1, 1, 9, 1, 9, 9), (1, 5, 5, 9, 1, 9))),
    MaskPx(1, 3, 2, 6, compressed([27, 3, 738])),
    KeypointsPx(1, 1, 9, 9, (1, 1, 2, 9, 9, 1)),
    OrientedBoxPx(TurnedBox(15, 10, 6, 4, 30).corners),
    WholeImage(),
)
LABEL_FILES = {
    "voc": ["Annotations/0.xml", "labelmap.txt", "ImageSets/Main/train.txt"],
    "cvat": ["annotations.xml"],
    "label-studio": ["tasks.json", "label_config.xml"],
    "dvc": ["data.dvc", ".dvc/config", "data.dir"],
}
WORDS = [b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"<x/>", b"..", b"\x00", b"\xff"]


@pytest.fixture
def exported(tmp_path, make_sample, jpeg):
    def export(fmt):
        workspace = fresh_workspace(tmp_path / "workspace")
        sample = make_sample(
            0, image=workspace.blobs.put(jpeg(0)), labelled_for=["bird"], reserved="train"
        )
        labels = [LabelledObject("bird", one, {"note": "x", "n": 1}) for one in GEOMETRIES]
        fields = {name: getattr(sample, name) for name in sample.__struct_fields__}
        fields["annotations"] = imported_annotations(sample.id, labels)
        taxonomy = Taxonomy([TaxonomyClass(id="bird", name="bird", keypoints=["a", "b"])])
        change = Change([type(sample)(**fields)], taxonomy)
        target = Target("main", "m")
        commit_change(workspace, LOCAL_CALL, target=target, change_on=lambda _: change)
        request = ExportDataset(ref="main", folder=str(tmp_path / "out"), format=fmt)
        return workspace, Path(export_dataset(workspace, LOCAL_CALL, request).source)

    return export


def path_of(name, source):
    root = source if source.is_dir() else source.parent
    if name == "data.dir":
        return next((root / ".dvc/cache").rglob("*.dir"))
    return root / name


spoilings = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(WORDS) | st.binary(max_size=4)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("fmt", LABEL_FILES)
def test_spoilt_bytes_end_in_a_report_or_in_an_error_with_a_code(fmt, exported):
    workspace, source = exported(fmt)
    originals = {
        path: path.read_bytes() for path in (path_of(one, source) for one in LABEL_FILES[fmt])
    }

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(sorted(originals)), spoilings)
    def check(path, changes):
        content = originals[path]
        for share, n_bytes, word in changes:
            at = int(share * len(content))
            content = content[:at] + word + content[at + n_bytes :]
        path.chmod(0o644)
        path.write_bytes(content)
        with suppress(SightloopError):
            request = ImportDataset(source=str(source), format=fmt, branch="spoilt")
            import_dataset(workspace, LOCAL_CALL, request)
        path.write_bytes(originals[path])

    check()
    workspace.db.close()


VALUES = re.compile(rb'(?<=")[^"<>{}]*(?=")|(?<=>)[^<>]+(?=<)|(?<=[ \[])-?[0-9.]+(?=[,\]}])')
ODD = [b"", b"0", b"-1", b"1e999", b"nan", b"99999999999999999999", b"true", b"../x", b"1,2;3"]
JSON = [*(b"null true -1 1e99 NaN [] {} [[1]] [null]".split()), b'""', b'"x"', b'{"text": [1]}']


@pytest.mark.parametrize("fmt", LABEL_FILES)
def test_odd_values_in_the_right_places_end_so_too(fmt, exported):
    workspace, source = exported(fmt)
    name = LABEL_FILES[fmt][0]
    path = path_of(name, source)
    original = path.read_bytes()
    places = [match.span() for match in VALUES.finditer(original)]
    odd = ODD + (JSON if fmt == "label-studio" else [])

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.sampled_from(places or [(0, 0)]), st.sampled_from(odd))))
    def check(changes):
        content = original
        for (start, end), word in sorted(changes, reverse=True):
            is_whole = word in JSON and content[start - 1 : start] == b'"'
            start, end = (start - 1, end + 1) if is_whole else (start, end)
            content = content[:start] + word + content[end:]
        path.write_bytes(content)
        with suppress(SightloopError):
            request = ImportDataset(source=str(source), format=fmt, branch="spoilt")
            import_dataset(workspace, LOCAL_CALL, request)

    check()
    workspace.db.close()
