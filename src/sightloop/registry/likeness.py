"""Whether a version that was made again is the same one: three verdicts, by stated rules. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from sightloop.training.weights_digest import TensorFacts

Likeness = Literal["identical", "equivalent", "different"]

AP50_TOLERANCE = 0.02
"""How far AP50 on the images that were not learned from may lie apart. Stated, not measured: it is
what the gate, by default, lets a version lose."""
AGREEMENT_NEEDED = 1.0
"""Share of the answers to golden images that both files have to give alike: all of them. Alike is
one class, an overlap of 0.9 and scores within 0.05 (see `evaluation.parity`)."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared. None: it could not be, or needed not be."""

    weights_then: str | None
    weights_now: str
    n_tensors: int
    """Of both checkpoints together, by name; 0 for a checkpoint that is one piece."""
    n_tensors_equal: int
    model_file_then: str
    model_file_now: str
    n_golden: int = 0
    agreement: float | None = None
    """Share of the answers to golden images that both files give; None when none was compared."""
    worst_box_px: float = 0.0
    worst_score: float = 0.0
    n_unseen: int = 0
    ap50_then: float | None = None
    ap50_now: float | None = None

    @property
    def are_weights_equal(self) -> bool:
        """Every tensor, bit for bit. Without the old checkpoint the exported file stands for it."""
        if self.weights_then is None:
            return self.is_file_equal
        return self.weights_then == self.weights_now

    @property
    def is_file_equal(self) -> bool:
        """The exported file, byte for byte."""
        return self.model_file_then == self.model_file_now


def judge_likeness(proof: Proof) -> Likeness:
    """What the proof comes to.

    `identical`: the weights are equal bit for bit, and the exported file, which is what devices
    run, is too or answers alike. `equivalent`: they are not, but every answer to a golden image
    agrees and AP50 lies within `AP50_TOLERANCE`. Everything else is `different`, and so is what
    nothing could be compared of.
    """
    if proof.are_weights_equal and (proof.is_file_equal or _answers_alike(proof)):
        return "identical"
    return "equivalent" if _answers_alike(proof) and _is_as_good(proof) else "different"


def count_equal(then: Sequence[TensorFacts], now: Sequence[TensorFacts]) -> tuple[int, int]:
    """How many tensors there are in both together, by name, and how many of them are equal.

    >>> one, other = TensorFacts("w", "float16", [1], "a"), TensorFacts("w", "float16", [1], "b")
    >>> count_equal([one], [one]), count_equal([one], [other])
    ((1, 1), (1, 0))
    """
    names = {one.name for one in [*then, *now]}
    by_name = {one.name: one for one in then}
    return len(names), sum(by_name.get(one.name) == one for one in now)


def _answers_alike(proof: Proof) -> bool:
    return proof.agreement is not None and proof.agreement >= AGREEMENT_NEEDED


def _is_as_good(proof: Proof) -> bool:
    if proof.ap50_then is None or proof.ap50_now is None:
        return False
    return abs(proof.ap50_then - proof.ap50_now) <= AP50_TOLERANCE
