"""A copy is known again, another scene is not, and a picture without a look is like nothing."""

import cv2
import numpy as np
import pytest

from sightloop.datasets.curation.fingerprints import thumbnail_of
from sightloop.datasets.curation.image_hash import (
    MAX_COARSE,
    Fingerprints,
    bits_between,
    correlation,
    fingerprints_of,
    look_alike,
)
from sightloop.datasets.curation.near import joined, near_pairs
from tests.datasets.curation.conftest import COPIES, Picture, as_jpeg, scene

N_SCENES = 120


def prints_of(pictures: list[Picture]) -> Fingerprints:
    return fingerprints_of(np.stack([thumbnail_of(as_jpeg(one), name="") for one in pictures]))


def alike_among(prints: Fingerprints) -> set[tuple[int, int]]:
    rows = np.flatnonzero(prints.has_look)
    pairs = joined(list(near_pairs(prints.coarse[rows], within=MAX_COARSE)))
    first, second = rows[pairs.first], rows[pairs.second]
    kept = look_alike(prints, first, second)
    return set(zip(first[kept].tolist(), second[kept].tolist(), strict=True))


@pytest.fixture(scope="module")
def scenes() -> list[Picture]:
    return [scene(seed) for seed in range(N_SCENES)]


def board(seed: int) -> Picture:
    """A binarised scan: wide bars, mostly along one direction, as circuit boards have them."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((160, 160), np.uint8)
    at = 0
    while at < 160:
        wide = int(rng.integers(15, 50))
        picture[:, at : at + wide] = 255
        at += wide + int(rng.integers(10, 40))
    top = int(rng.integers(0, 110))
    picture[top : top + int(rng.integers(20, 50))] = 255 * int(rng.integers(2))
    return picture


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_known_again(scenes, kind):
    copies = [COPIES[kind](one) for one in scenes]
    found = alike_among(prints_of([*scenes, *copies]))
    n_known = sum((at, at + N_SCENES) in found for at in range(N_SCENES))
    assert n_known >= 0.99 * N_SCENES
    assert len(found) == n_known


def test_different_scenes_are_not_alike(scenes):
    assert alike_among(prints_of(scenes)) == set()


def test_boards_of_the_same_style_are_not_alike():
    pictures = [board(seed) for seed in range(300)]
    assert len(alike_among(prints_of(pictures))) <= 2


def test_the_coarse_hash_alone_would_confuse_them():
    prints = prints_of([board(seed) for seed in range(300)])
    coarse = joined(list(near_pairs(prints.coarse, within=MAX_COARSE)))
    assert len(coarse.first) > 20


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_picture_of_one_shade_has_no_look(shade):
    assert not prints_of([np.full((80, 80), shade, np.uint8)]).has_look[0]


def test_a_speck_on_an_empty_picture_is_no_look():
    picture = np.full((160, 160), 255, np.uint8)
    picture[30:45, 100:118] = 0
    assert not prints_of([picture]).has_look[0]


def test_the_same_thumbnail_gives_the_same_fingerprint_alone_or_among_others(scenes):
    thumbs = np.stack([thumbnail_of(as_jpeg(one), name="") for one in scenes[:5]])
    together, alone = fingerprints_of(thumbs), fingerprints_of(thumbs[2:3])
    assert together.coarse[2] == alone.coarse[0]
    assert (together.fine[2] == alone.fine[0]).all()


def test_a_fingerprint_never_changes_while_its_version_stays():
    """Kept fingerprints hold for as long as VERSION does: raise it if this must change."""
    thumb = (np.add.outer(np.arange(32) ** 2, 7 * np.arange(32)) % 256).astype(np.uint8)
    prints = fingerprints_of(thumb[None])
    assert f"{prints.coarse[0]:016x}" == "840f3d2f286f4b96"


def test_correlation_is_one_for_a_brighter_copy_and_minus_one_for_the_negative(scenes):
    small = prints_of(scenes[:1]).small.astype(np.int16)
    brighter = np.clip(small // 2 + 60, 0, 255).astype(np.uint8)
    negative = (255 - small).astype(np.uint8)
    assert correlation(small, brighter)[0] > 0.99
    assert correlation(small, negative)[0] < -0.99


def test_correlation_of_no_pair_is_no_number():
    none = np.zeros((0, 16, 16), np.uint8)
    assert correlation(none, none).shape == (0,)


def test_bits_are_counted_per_word():
    some, others = np.array([0, 2**64 - 1], np.uint64), np.array([1, 0], np.uint64)
    assert bits_between(some, others).tolist() == [1, 64]


def test_a_turned_photograph_has_the_look_of_the_upright_one(scenes):
    """EXIF orientation 6: the stored pixels are to be turned clockwise."""
    upright = as_jpeg(scenes[0])
    stored = as_jpeg(cv2.rotate(scenes[0], cv2.ROTATE_90_COUNTERCLOCKWISE))
    tiff = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06"
    segment = tiff + bytes(6)
    marker = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment
    turned = stored[:2] + marker + stored[2:]
    thumbs = np.stack([thumbnail_of(one, name="") for one in (upright, turned)])
    assert alike_among(fingerprints_of(thumbs)) == {(0, 1)}


@pytest.mark.parametrize("side_px", [1, 5, 31, 700, 1100])
def test_images_of_any_size_have_a_thumbnail(side_px):
    picture = np.random.default_rng(0).integers(0, 255, (side_px, side_px), dtype=np.uint8)
    assert thumbnail_of(as_jpeg(picture), name="").shape == (32, 32)
