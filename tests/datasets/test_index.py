"""The index answers what the rows would, however it was made, and is never trusted when damaged."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sightloop.datasets import indexes
from sightloop.datasets.browsing import (
    FindCommit,
    ListSamples,
    ShowStatistics,
    find_commit,
    list_samples,
    show_statistics,
)
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.geometry import BoxPx, area_of
from sightloop.datasets.index import (
    LANES,
    SIZES,
    SPLITS,
    Index,
    SampleFilter,
    build_index,
    changed_index,
    decode_index,
    encode_index,
    size_of,
)
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.statistics import count_all
from sightloop.datasets.values import (
    ClassId,
    LabelledObject,
    Sample,
    Taxonomy,
    TaxonomyClass,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.digests import digest_of
from sightloop.kernel.workspace import Workspace
from sightloop.testing.workspaces import LOCAL_CALL

RULE = SplitRule(train=0.5, val=0.2, test=0.3)
CLASSES = [ClassId(name) for name in ("dent", "chip")]
TAXONOMY = Taxonomy([TaxonomyClass(id=name, name=name.upper()) for name in CLASSES])
COMMIT, OTHER = digest_of(b"a commit"), digest_of(b"another commit")

facts = st.fixed_dictionaries(
    {
        "boxes": st.lists(
            st.tuples(st.sampled_from(CLASSES), st.sampled_from([1, 31, 32, 95, 96, 300])),
            max_size=3,
        ),
        "split_key": st.sampled_from(["a", "b", "c", "d"]),
        "slices": st.dictionaries(
            st.sampled_from(["line", "light"]), st.sampled_from(["A", "B", "=x"]), max_size=2
        ),
        "tags": st.lists(st.sampled_from(["odd", "new"]), max_size=2),
        "lane": st.sampled_from([None, "audit", "drift"]),
        "reserved": st.sampled_from([None, "audit"]),
        "quarantined": st.booleans(),
    }
)
rows = st.dictionaries(st.integers(0, 30), facts, max_size=12)
filters = st.builds(
    SampleFilter,
    class_id=st.sampled_from([None, *CLASSES, "unknown"]),
    size=st.sampled_from([None, *SIZES]),
    strata=st.lists(st.sampled_from(["line=A", "light=B", "line==x", "line=C"]), max_size=2),
    split=st.sampled_from([None, *SPLITS]),
    lane=st.sampled_from([None, *LANES]),
    tag=st.sampled_from([None, "odd", "unknown"]),
    without_boxes=st.booleans(),
)


def samples_of(found: dict[int, dict[str, Any]]) -> list[Sample]:
    return sorted((one_sample(number, **one) for number, one in found.items()), key=lambda s: s.id)


def one_sample(number: int, *, boxes: Any, image: str | None = None, **values: Any) -> Sample:
    image = image or digest_of(b"%d" % number)
    identity = sample_id(image, None)
    objects = [LabelledObject(name, BoxPx(0, 0, side, side), {}) for name, side in boxes]
    return Sample(
        id=identity,
        image=image,
        width_px=400,
        height_px=400,
        media_type="image/png",
        file_name=f"{number}.png",
        annotations=imported_annotations(identity, objects),
        **values,
    )


def fits(sample: Sample, wanted: SampleFilter) -> bool:
    """The slow way to say what a filter means."""
    has_box = any(
        wanted.class_id in (None, one.class_id)
        and wanted.size in (None, size_of(area_of(one.geometry)))
        for one in sample.annotations
    )
    return (
        (has_box or (wanted.class_id is None and wanted.size is None))
        and all(
            sample.slices.get(s.partition("=")[0]) == s.partition("=")[2] for s in wanted.strata
        )
        and wanted.split in (None, split_of(sample, RULE) or "quarantined")
        and wanted.lane in (None, sample.lane or "none")
        and (wanted.tag is None or wanted.tag in sample.tags)
        and not (wanted.without_boxes and sample.annotations)
    )


def found_by(index: Index, wanted: SampleFilter) -> list[str]:
    return index.ids_of(index.matching(wanted).nonzero()[0])


@given(rows, filters)
def test_a_filter_finds_what_a_look_at_every_row_finds(found, wanted):
    samples = samples_of(found)
    index = build_index(COMMIT, samples, RULE)
    assert found_by(index, wanted) == [one.id for one in samples if fits(one, wanted)]


@given(rows, rows, filters)
def test_an_index_made_from_its_parents_is_the_one_made_anew(before, after, wanted):
    old, new = ({one.id: one for one in samples_of(side)} for side in (before, after))
    changed = changed_index(
        build_index(OTHER, old.values(), RULE),
        COMMIT,
        gone=old.keys() - new.keys(),
        written=[one for one in new.values() if one != old.get(one.id)],
        rule=RULE,
    )
    anew = build_index(COMMIT, new.values(), RULE)
    assert found_by(changed, wanted) == found_by(anew, wanted)
    assert count_all(changed, TAXONOMY) == count_all(anew, TAXONOMY)


@given(rows, filters)
def test_an_index_survives_its_file(found, wanted):
    index = build_index(COMMIT, samples_of(found), RULE)
    read = decode_index(encode_index(index), commit=COMMIT)
    assert read is not None
    assert found_by(read, wanted) == found_by(index, wanted)
    assert count_all(read, TAXONOMY) == count_all(index, TAXONOMY)


@given(rows, st.data())
def test_a_file_with_a_flipped_bit_is_not_believed(found, data):
    content = bytearray(encode_index(build_index(COMMIT, samples_of(found), RULE)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert decode_index(bytes(content), commit=COMMIT) is None


def test_the_file_of_another_commit_is_not_believed():
    assert decode_index(encode_index(build_index(OTHER, [], RULE)), commit=COMMIT) is None


@given(rows)
def test_counts_are_those_of_the_rows(found):
    samples = samples_of(found)
    counted = count_all(build_index(COMMIT, samples, RULE), TAXONOMY)
    assert counted.n_boxes == sum(len(one.annotations) for one in samples)
    assert sum(one.images for one in counted.splits) == len(samples)
    assert sum(one.n for one in counted.box_sides_px) == counted.n_boxes
    assert sum(one.n for one in counted.boxes_per_image) == len(samples)
    for one in counted.classes:
        with_it = [s for s in samples if any(b.class_id == one.class_id for b in s.annotations)]
        assert one.images == len(with_it)


@pytest.fixture
def committed(workspace: Workspace) -> Workspace:
    commit(workspace, range(8))
    return workspace


def commit(workspace: Workspace, numbers: Any, **fields: Any) -> str:
    values = {"boxes": [("dent", 40)], "slices": {"line": "A"}, **fields}
    upserts = [
        one_sample(i, image=workspace.blobs.put(b"%d" % i), split_key=str(i), **values)
        for i in numbers
    ]
    request = CommitSamples(
        branch="main", message="", upserts=upserts, new_classes=["dent", "Pin hole"]
    )
    return commit_samples(workspace, LOCAL_CALL, request).commit


def listed(workspace: Workspace, **fields: Any):
    return list_samples(workspace, LOCAL_CALL, ListSamples(ref="main", **fields))


def head(workspace: Workspace) -> str:
    return find_commit(workspace, LOCAL_CALL, FindCommit(ref="main")).commit


def another_process() -> None:
    indexes._INDEXES.forget()


@pytest.mark.parametrize("damage", ["missing", "cut off", "empty", "of another commit"])
def test_an_index_that_cannot_be_used_is_made_anew(committed, damage: str):
    assert listed(committed, slices=["line=A"]).total == 8
    path = indexes.index_path(committed, head(committed))
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        other = encode_index(build_index(OTHER, [], RULE))
        path.write_bytes({"cut off": content[:-9], "empty": b""}.get(damage, other))
    another_process()
    assert listed(committed, slices=["line=A"]).total == 8
    assert path.read_bytes() == content


def test_a_commit_on_an_indexed_one_is_indexed_from_what_changed(committed):
    listed(committed, class_name="dent")
    commit(committed, [3], boxes=[("pin-hole", 10)])
    commit(committed, [9])
    assert listed(committed, class_name="Pin hole").total == 1
    assert listed(committed, class_name="pin-hole").total == 1
    assert listed(committed, class_name="dent").total == 8
    counted = show_statistics(committed, LOCAL_CALL, ShowStatistics(ref="main")).statistics
    assert counted is not None
    assert (counted.n_images, counted.n_boxes) == (9, 9)


def test_the_oldest_files_go_when_there_are_many(committed, monkeypatch):
    monkeypatch.setattr(indexes, "N_FILES_KEPT", 2)
    for number in range(10, 14):
        commit(committed, [number])
        listed(committed, class_name="dent")
    assert len(list((committed.state / indexes.FOLDER).iterdir())) == 2


def test_who_does_not_wait_learns_that_it_is_being_made(committed):
    page = listed(committed, class_name="dent", patience_s=0.0)
    assert page.pending is not None
    assert page.samples == []
    assert listed(committed, class_name="dent").total == 8
