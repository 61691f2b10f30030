from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.bundle import (
    Bundle,
    BundleFile,
    Detection,
    GoldenImage,
    ModelInput,
    Reference,
    ReferenceLoss,
    ReferenceMeasure,
    Thresholds,
    bundle_digest,
)
from sightloop.contracts.decode import WrongFormat, decode, encode
from sightloop.kernel.digests import Digest, digest_of

GOLDEN = Path(__file__).parents[1] / "golden" / "bundle.json"
BUNDLE = Bundle(
    model="pcb",
    class_ids=["open", "short"],
    class_names=["open", "short"],
    input=ModelInput(160, 160),
    head="end_to_end",
    thresholds=Thresholds(score=0.31),
    model_file="model.onnx",
    files=[
        BundleFile("model.onnx", Digest("sha256:" + "0a" * 32), 9_874_321),
        BundleFile("golden/3f0c.jpg", Digest("sha256:" + "0b" * 32), 7_412),
    ],
    golden=[GoldenImage("golden/3f0c.jpg", [Detection(1, 0.875, 9.5, 20.0, 30.5, 44.0)])],
    reference=Reference(
        measures=[
            ReferenceMeasure(
                "brightness",
                [0.25, 0.5],
                {"": [10, 11, 9], "line=A": [10, 1, 0], "line=B": [0, 10, 9]},
            )
        ],
        losses={"": ReferenceLoss(30, 0.125, 0.25), "line=A": ReferenceLoss(11, 0.0, 0.0)},
        looks={"": [[0.6, 0.8], [1.0, 0.0]], "line=A": [[0.6, 0.8]]},
    ),
    declared_licence="AGPL-3.0",
    engine="yolo26 8.4.190",
    dataset_commit=Digest("sha256:" + "0c" * 32),
    run="run_0001",
    created_at_ms=1_700_000_000_000,
)


def test_a_manifest_reads_and_writes_as_its_golden_file():
    golden = GOLDEN.read_bytes()
    assert decode(golden, Bundle, what="bundle.json") == BUNDLE
    assert msgspec.json.format(encode(BUNDLE), indent=2) + b"\n" == golden


def test_the_identity_of_a_version_is_the_digest_of_its_canonical_bytes():
    assert bundle_digest(BUNDLE) == digest_of(encode(BUNDLE))
    assert bundle_digest(decode(encode(BUNDLE), Bundle, what="x")) == bundle_digest(BUNDLE)


def test_a_manifest_of_a_later_format_is_refused_by_name():
    later = encode(BUNDLE).replace(b"sightloop.bundle/1", b"sightloop.bundle/2")
    with pytest.raises(WrongFormat, match=r"sightloop\.bundle/1 but is 'sightloop\.bundle/2'"):
        decode(later, Bundle, what="bundle.json")


def test_a_field_of_a_later_minor_version_is_ignored():
    newer = encode(BUNDLE).replace(b'"engine"', b'"a_new_field":{"x":[1]},"engine"', 1)
    assert decode(newer, Bundle, what="bundle.json") == BUNDLE
