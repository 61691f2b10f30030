"""Boxes turn with their image and stay inside it."""

import cv2
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from sightloop.datasets.boxes import clipped, overshoot_px, upright
from sightloop.datasets.exif import read_orientation
from sightloop.datasets.formats.placing import StoredSize
from sightloop.datasets.geometry import BoxPx, SizePx
from sightloop.datasets.image_files import read_image_facts
from sightloop.inference.images import decode_picture, read_facts

STORED = SizePx(48, 32)
MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


def turned(suffix: str, pixels, orientation: int) -> bytes:
    """An image file whose tag says that its pixels are stored turned."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\x00\x00"
    tag = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    facts = [np.frombuffer(tag, np.uint8)]
    return cv2.imencodeWithMetadata(suffix, pixels, [cv2.IMAGE_METADATA_EXIF], facts)[1].tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_still_frames_its_object_after_turning(orientation):
    pixels = np.zeros((STORED.height_px, STORED.width_px, 3), np.uint8)
    box = BoxPx(5, 10, 21, 18)
    pixels[10:18, 5:21] = 255
    picture = decode_picture(turned(".png", pixels, orientation), name="a")
    found = upright(box, STORED, orientation=orientation)
    lit = np.argwhere(picture[:, :, 0] > 0)
    (y1, x1), (y2, x2) = lit.min(axis=0), lit.max(axis=0) + 1
    assert (found.x1, found.y1, found.x2, found.y2) == (x1, y1, x2, y2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", MEDIA_TYPES)
def test_the_orientation_read_is_the_one_decoding_obeys(suffix, orientation):
    pixels = np.zeros((STORED.height_px, STORED.width_px, 3), np.uint8)
    content = turned(suffix, pixels, orientation)
    seen = read_facts(content, name="a")
    size = StoredSize(STORED, read_orientation(content, MEDIA_TYPES[suffix]))
    assert size.orientation == orientation
    assert size.upright == (seen.width_px, seen.height_px)
    assert read_image_facts(content, name="a").size == size


@given(st.binary(max_size=40))
def test_a_broken_tag_means_upright(noise):
    content = b"\xff\xd8Exif\x00\x00MM\x00\x2a" + noise
    assert read_orientation(content, "image/jpeg") in range(1, 9)


@given(*[st.floats(-50, 50)] * 2, *[st.floats(0.5, 80)] * 2)
def test_a_cut_box_lies_inside_and_a_box_that_lies_inside_is_not_cut(x, y, width, height):
    box, size = BoxPx(x, y, x + width, y + height), SizePx(32, 24)
    cut = clipped(box, size)
    assert cut is None or overshoot_px(cut, size) == 0
    assert (cut == box) == (overshoot_px(box, size) == 0)
