"""Fingerprints by which images that look alike find each other. Pure.

A fingerprint is made of a 32 x 32 grey thumbnail, whatever the image's shape:

- **coarse**, 64 bits: the signs of the 8 x 8 lowest coefficients of its cosine transform against
  their median. Close in Hamming distance for images that look alike; finds candidates.
- **fine**, 256 bits: the same of the 16 x 16 lowest coefficients.
- **small**: a 16 x 16 grey copy, for the normalised correlation of two images.
- **contrast**: the thumbnail's standard deviation in grey levels.
- **spread**: over which share of the thumbnail that deviation is spread.

The coarse hash alone calls binarised scans of different circuit boards duplicates; all three
together do not (docs/results/curation.md). A picture of a single shade, or of one with a speck on
it, has no look by which it could be known again: it is like no other, unless its bytes are.

Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010),
the DCT based hash.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""Changes whenever equal pixels would get another fingerprint."""

THUMB_PX = 32
SMALL_PX = 16

MIN_CONTRAST = 8.0
"""Grey levels. 113 of 1,894 circuit board crops are a single shade; none of 364 photographs is."""

MIN_SPREAD = 0.03
"""Below lie 110 crops with a speck on an empty board, and no photograph: those begin at 0.1."""

MAX_COARSE = 10
MAX_FINE = 64
MIN_CORRELATION = 0.85
"""All three must hold of two images that count as alike. Measured: docs/results/curation.md."""

Numbers = NDArray[Any]


class Fingerprints(NamedTuple):
    """Fingerprints of n images, as columns."""

    coarse: Numbers
    """(n,) uint64."""
    fine: Numbers
    """(n, 4) uint64."""
    small: Numbers
    """(n, 16, 16) uint8."""
    contrast: Numbers
    """(n,) float32, in grey levels."""
    spread: Numbers
    """(n,) float32, in [0, 1]: 1 for as much black as white, 1 / 1024 for one odd pixel."""

    @property
    def has_look(self) -> Numbers:
        """(n,) bool: whether there is enough to see to know the image again."""
        known: Numbers = (self.contrast >= MIN_CONTRAST) & (self.spread >= MIN_SPREAD)
        return known


def fingerprints_of(thumbs: Numbers) -> Fingerprints:
    """The fingerprints of (n, 32, 32) grey thumbnails, uint8; 0.03 ms each on one core."""
    grey = thumbs.astype(np.float32)
    waves = _COSINES @ grey @ _COSINES.T
    n, side = len(thumbs), THUMB_PX // SMALL_PX
    small = grey.reshape(n, SMALL_PX, side, SMALL_PX, side).mean(axis=(2, 4))
    return Fingerprints(
        coarse=_signs(waves[:, :8, :8])[:, 0],
        fine=_signs(waves),
        small=np.rint(small).astype(np.uint8),
        contrast=grey.std(axis=(1, 2)),
        spread=_spread(grey),
    )


def look_alike(prints: Fingerprints, first: Numbers, second: Numbers) -> Numbers:
    """For pairs of rows whose coarse hashes are close: whether the two images look alike, (n,)."""
    fine = bits_between(prints.fine[first], prints.fine[second]).sum(axis=1) <= MAX_FINE
    alike = fine & prints.has_look[first] & prints.has_look[second]
    left = np.flatnonzero(alike)
    close = correlation(prints.small[first[left]], prints.small[second[left]]) >= MIN_CORRELATION
    alike[left] = close
    kept: Numbers = alike
    return kept


def correlation(some: Numbers, others: Numbers) -> Numbers:
    """Normalised correlation of (n, 16, 16) pictures in pairs, (n,); 0 if one is of one shade."""
    a, b = (one.reshape(-1, SMALL_PX**2).astype(np.float32) for one in (some, others))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    product: Numbers = (a * b).sum(axis=1) / np.maximum(scale, 1e-6)
    return product


def bits_between(some: Numbers, others: Numbers) -> Numbers:
    """How many bits differ, element by element; int64 so that sums do not overflow."""
    return np.bitwise_count(some ^ others).astype(np.int64)


def _signs(waves: Numbers) -> Numbers:
    """Which coefficients exceed the median of all but the first (the mean), as uint64 words."""
    flat = waves.reshape(-1, waves.shape[1] * waves.shape[2])
    bits = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
    words: Numbers = np.packbits(bits, axis=1).view(">u8").astype(np.uint64)
    return words


def _spread(grey: Numbers) -> Numbers:
    """Participation ratio of the squared deviations from the mean."""
    squares = (grey - grey.mean(axis=(1, 2), keepdims=True)) ** 2
    most = THUMB_PX**2 * (squares**2).sum(axis=(1, 2))
    ratio: Numbers = squares.sum(axis=(1, 2)) ** 2 / np.maximum(most, 1e-6)
    return ratio


def _cosines() -> Numbers:
    """The 16 lowest rows of the orthonormal cosine transform (type II) of 32 numbers."""
    rows, columns = np.mgrid[:SMALL_PX, :THUMB_PX]
    waves = np.cos(np.pi * (2 * columns + 1) * rows / (2 * THUMB_PX)) * np.sqrt(2 / THUMB_PX)
    waves[0] /= np.sqrt(2)
    cosines: Numbers = waves.astype(np.float32)
    return cosines


_COSINES = _cosines()
