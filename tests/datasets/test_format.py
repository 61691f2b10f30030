"""The bytes of a commit are what docs/formats/commit.md says, today and in ten years."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.decode import WrongFormat, encode
from sightloop.datasets import tree
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.records import (
    CommitRecord,
    decode_commit,
    encode_commit,
    with_taxonomy,
)
from sightloop.datasets.splits import SplitRule
from sightloop.datasets.taxonomy import FoundClass, with_classes
from sightloop.datasets.values import (
    Capture,
    ClassId,
    LabelledObject,
    Sample,
    SampleId,
    Taxonomy,
    decode_row,
    encode_row,
    imported_annotations,
    sample_id,
)
from sightloop.kernel.digests import Digest, digest_of

GOLDEN = Path(__file__).parents[1] / "golden" / "commit.json"

TAXONOMY = with_classes(
    Taxonomy(), [FoundClass("open", 1, "defect"), FoundClass("Pin hole", 6, "defect")]
)


def golden_samples() -> list[Sample]:
    plain, kept = digest_of(b"first image"), digest_of(b"second image")
    capture = Capture("device_0001", "line-1", 1_700_000_000_000)
    box = LabelledObject(ClassId("pin-hole"), BoxPx(18, 23.25, 44.5, 51), {"occluded": True})
    return [
        Sample(
            id=sample_id(plain, None),
            image=plain,
            width_px=160,
            height_px=120,
            media_type="image/jpeg",
            file_name="20085/20085000_0.jpg",
            split_key="20085000",
            slices={"product_line": "20085"},
            labelled_for=TAXONOMY.class_ids,
            annotations=imported_annotations(sample_id(plain, None), [box]),
        ),
        Sample(
            id=sample_id(kept, capture),
            image=kept,
            width_px=160,
            height_px=120,
            media_type="image/png",
            file_name="",
            split_key="part 7",
            tags=["checked"],
            capture=capture,
            lane="audit",
            inclusion_probability=0.02,
            reserved="audit",
        ),
    ]


def golden_commit(root: Digest, n_samples: int) -> CommitRecord:
    return CommitRecord(
        root=root,
        n_samples=n_samples,
        taxonomy=TAXONOMY,
        split_rule=SplitRule(train=0.7, val=0.2, test=0.1, salt="pcb"),
        parents=[digest_of(b"parent")],
        actor="local",
        message="import annotations.json",
        committed_at_ms=1_700_000_000_000,
    )


def written() -> dict[str, object]:
    rows = [encode_row(one) for one in golden_samples()]
    built = tree.build(
        {one.id: digest_of(row) for one, row in zip(golden_samples(), rows, strict=True)}
    )
    record = encode_commit(golden_commit(built.root, built.n_entries))
    numbers = range(tree.SPLIT_ABOVE + 1)
    branching = tree.build(
        {SampleId(digest_of(b"%d" % n)[7:39]): digest_of(b"row %d" % n) for n in numbers}
    )
    return {
        "commit": digest_of(record),
        "record": json.loads(record),
        "taxonomy": json.loads(encode(TAXONOMY)),
        "rows": [json.loads(row) for row in rows],
        "row_digests": [digest_of(row) for row in rows],
        "root_node_hex": next(iter(built.new_nodes.values())).hex(),
        "root_of_65_rows": branching.root,
    }


def test_a_commit_is_written_as_its_golden_file():
    assert json.loads(GOLDEN.read_text()) == written()


def test_the_golden_commit_is_read_as_what_it_was():
    golden = json.loads(GOLDEN.read_text())
    rows = [json.dumps(row).encode() for row in golden["rows"]]
    assert [decode_row(row) for row in rows] == golden_samples()
    stored = decode_commit(json.dumps(golden["record"]).encode(), what="commit")
    assert with_taxonomy(stored, TAXONOMY) == golden_commit(stored.root, 2)


def test_a_commit_of_a_later_format_is_refused_by_name():
    later = encode_commit(golden_commit(digest_of(b""), 0)).replace(b"commit/1", b"commit/2")
    with pytest.raises(WrongFormat, match=r"sightloop\.commit/1 but is 'sightloop\.commit/2'"):
        decode_commit(later, what="commit")


@given(st.permutations(range(3)))
def test_equal_boxes_get_the_same_ids_in_whatever_order_they_come(order):
    box = BoxPx(1, 2, 3, 4)
    objects = [LabelledObject(ClassId("dent"), box, {"seen_by": str(n)}) for n in range(3)]
    identity = sample_id(digest_of(b"an image"), None)
    found = imported_annotations(identity, [objects[i] for i in order])
    assert found == imported_annotations(identity, objects)
