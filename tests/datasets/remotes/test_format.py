"""A remote that was written today is read in ten years: docs/formats/remote.md."""

import base64
import json
from pathlib import Path

import pytest

from sightloop.contracts.decode import WrongFormat
from sightloop.datasets.remotes.layout import MARKER
from sightloop.datasets.remotes.packs import encode_index
from sightloop.datasets.remotes.pulling import Pull, pull
from sightloop.datasets.samples import read_samples
from sightloop.datasets.values import Capture, Sample
from sightloop.kernel.digests import digest_of
from sightloop.testing.workspaces import LOCAL_CALL

GOLDEN = Path(__file__).parents[2] / "golden" / "remote.json"
"""Two commits with every kind of record, block and reference. Written once; only ever read."""


@pytest.fixture
def golden(remote_folder: Path) -> dict[str, bytes]:
    """The golden remote, laid out as a folder."""
    files = {name: base64.b64decode(text) for name, text in json.loads(GOLDEN.read_text()).items()}
    for name, content in files.items():
        path = remote_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return files


def golden_samples(make_sample, n: int) -> list[Sample]:
    def sample(seed: int) -> Sample:
        capture = Capture("camera", "line", 1_700_000_000_000 + seed) if seed % 5 == 0 else None
        image = digest_of(b"image %d" % seed)
        return make_sample(seed, image=image, capture=capture)

    return sorted((sample(seed) for seed in range(n)), key=lambda one: one.id)


def test_the_golden_remote_is_read(golden, theirs, make_sample):
    pulled = pull(theirs, LOCAL_CALL, Pull())
    assert pulled.commit in golden["refs/heads/main"].decode()
    assert (pulled.n_images, pulled.n_left) == (70, 0)
    assert read_samples(theirs, pulled.commit) == golden_samples(make_sample, 70)
    assert theirs.blobs.read(digest_of(b"image 7")) == b"image 7"
    assert pull(theirs, LOCAL_CALL, Pull(ref="v1")).commit != pulled.commit


def test_an_index_has_the_bytes_of_the_specification():
    one, two = bytes(range(32)), bytes(range(32, 64))
    alone = encode_index([(one, 0), (two, 1)], [5, 6])
    assert alone[:-32].hex() == (
        "534c583100000002000000020000000500000006"
        "000102030405060708090a0b0c0d0e0f202122232425262728292a2b2c2d2e2f"
    )
    together = encode_index([(one, 0), (two, 0)], [11])
    assert together[:-32].hex() == (
        "534c583100000001000000020000000b"
        "000102030405060708090a0b0c0d0e0f202122232425262728292a2b2c2d2e2f"
        "0000000000000000"
    )


def test_a_remote_of_a_later_format_is_refused(golden, theirs, remote_folder):
    marker = (remote_folder / MARKER).read_text().replace("remote/1", "remote/2")
    (remote_folder / MARKER).write_text(marker)
    with pytest.raises(WrongFormat, match=r"sightloop\.remote/1"):
        pull(theirs, LOCAL_CALL, Pull())
