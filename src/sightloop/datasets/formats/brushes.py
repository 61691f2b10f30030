"""Label Studio's brush strokes: a bit stream of runs over the bytes of an RGBA image. Pure.

The stream begins with the number of words (32 bits), the bits of a word less one (5) and four
lengths of counts less one (4 each). Then, until all words are there: a bit that says whether one
word is repeated or each is written out, two bits that choose a length of count, the count less
one, and the word or words. The mask is the alpha channel.

Source: the run length format of thi.ng's rle-pack, which Label Studio uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sightloop.datasets.geometry import SizePx
from sightloop.datasets.masks import Pixels

_CHANNELS = 4
_WORD_BITS = 8
_COUNT_BITS = (3, 4, 8, 16)
_HALF = 128
"""Alpha above which a pixel belongs to the object, as in Label Studio's own converter."""


def pixels_in(stream: Sequence[int], size: SizePx) -> Pixels:
    """The mask of a brush region on an image of that size.

    Raises:
        ValueError: the stream is none, or of another size.
    """
    try:
        bits = _Bits(bytes(stream))
    except (TypeError, ValueError) as error:
        raise ValueError("rle is no list of bytes") from error
    n_words = bits.take(32)
    word_bits = bits.take(5) + 1
    lengths = [bits.take(4) + 1 for _ in range(4)]
    if n_words != _CHANNELS * size.width_px * size.height_px or word_bits != _WORD_BITS:
        raise ValueError(
            f"rle has {n_words} words of {word_bits} bits, "
            f"an image of {size.width_px} x {size.height_px} px has another number of bytes"
        )
    words = np.zeros(n_words, np.uint8)
    at = 0
    while at < n_words:
        is_run = bits.take(1)
        n = bits.take(lengths[bits.take(2)]) + 1
        if at + n > n_words:
            raise ValueError("rle runs beyond the image")
        words[at : at + n] = bits.take(word_bits) if is_run else bits.words(n)
        at += n
    alpha = words.reshape(size.height_px, size.width_px, _CHANNELS)[:, :, _CHANNELS - 1]
    return np.asarray(alpha > _HALF, np.bool_)


def stream_of(pixels: Pixels) -> list[int]:
    """The mask as a brush region: runs only, all channels alike."""
    flat = pixels.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts = [0, *edges.tolist()]
    lengths = np.diff([*starts, len(flat)]).tolist()
    pieces = [(_CHANNELS * len(flat), 32), (_WORD_BITS - 1, 5)]
    pieces += [(one - 1, 4) for one in _COUNT_BITS]
    for start, length in zip(starts, lengths, strict=True):
        for n in _portions(_CHANNELS * length):
            choice = next(at for at, one in enumerate(_COUNT_BITS) if n <= 1 << one)
            pieces += [(1, 1), (choice, 2), (n - 1, _COUNT_BITS[choice])]
            pieces.append((255 if flat[start] else 0, _WORD_BITS))
    text = "".join(f"{value:0{n_bits}b}" for value, n_bits in pieces)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _portions(n: int) -> Iterator[int]:
    most = 1 << _COUNT_BITS[-1]
    while n > most:
        yield most
        n -= most
    yield n


class _Bits:
    """Takes bits from the front of a string of bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, n: int) -> int:
        end = self._at + n
        if end > 8 * len(self._content):
            raise ValueError("rle ends too early")
        some = int.from_bytes(self._content[self._at // 8 : (end + 7) // 8], "big")
        self._at = end
        return (some >> (-end % 8)) & ((1 << n) - 1)

    def words(self, n: int) -> list[int]:
        """The next n words of eight bits."""
        if self._at + 8 * n > 8 * len(self._content):
            raise ValueError("rle ends too early")
        return [self.take(_WORD_BITS) for _ in range(n)]
