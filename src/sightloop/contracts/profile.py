"""What a stream looked like in a window: integer counts on the bins of the bundle's reference.

Profiles of equal reference add up, over windows and over devices, exactly and in any order.
Specification: docs/formats/profile.md.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import BadInput

FORMAT: Literal["sightloop.profile/1"] = "sightloop.profile/1"

RANK_STEPS = 4096
"""Ranks are multiples of 1/4096. Their squares and products are then whole multiples of 1/4096²,
which a double adds without rounding up to 500 million pairs: sums do not depend on the order."""


class ProfilesDiffer(BadInput):
    """Two profiles were counted on different bins; adding them would mean nothing."""

    code = "FORMAT-010"

    def __init__(self, *, first: str, second: str) -> None:
        super().__init__(
            f"profiles of {first} and {second} cannot be merged; "
            "only windows of one stream kind and one bundle add up",
            first=first,
            second=second,
        )


class Dependence(msgspec.Struct, frozen=True):
    """Sums from which the lag-1 correlation of a measure's ranks follows, over `n` pairs.

    Ranks are the reference ranks in [0, 1], rounded to 1/`RANK_STEPS`. With neighbouring images
    alike, the guarantee of a monitor does not hold and it is shown as calibrated only.
    """

    n: int
    sum_first: float
    sum_second: float
    sum_first_squared: float
    sum_second_squared: float
    sum_product: float


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one stream under one bundle over one window (or several, merged)."""

    format: Literal["sightloop.profile/1"] = FORMAT
    device: str
    stream: str
    slot: str
    bundle: Digest
    stratum: str
    started_at_ms: int
    ended_at_ms: int
    n_images: int
    counts: dict[str, list[int]]
    class_counts: list[int]
    dependence: dict[str, Dependence]


def merge(first: Profile, second: Profile) -> Profile:
    """The profile of both windows together.

    Raises:
        ProfilesDiffer: another bundle or stratum, so other bins.
    """
    if (first.bundle, first.stratum) != (second.bundle, second.stratum):
        raise ProfilesDiffer(
            first=f"{first.bundle} {first.stratum!r}", second=f"{second.bundle} {second.stratum!r}"
        )
    return msgspec.structs.replace(
        first,
        device=first.device if first.device == second.device else "",
        stream=first.stream if first.stream == second.stream else "",
        slot=first.slot if first.slot == second.slot else "",
        started_at_ms=min(first.started_at_ms, second.started_at_ms),
        ended_at_ms=max(first.ended_at_ms, second.ended_at_ms),
        n_images=first.n_images + second.n_images,
        counts={
            name: _add(first.counts.get(name, []), second.counts.get(name, []))
            for name in sorted(first.counts.keys() | second.counts.keys())
        },
        class_counts=_add(first.class_counts, second.class_counts),
        dependence={
            name: _add_dependence(first.dependence.get(name), second.dependence.get(name))
            for name in sorted(first.dependence.keys() | second.dependence.keys())
        },
    )


def _add(first: list[int], second: list[int]) -> list[int]:
    if not first or not second:
        return first or second
    return [a + b for a, b in zip(first, second, strict=True)]


def _add_dependence(first: Dependence | None, second: Dependence | None) -> Dependence:
    if first is None or second is None:
        present = first or second
        assert present is not None, "the name came from one of the two"
        return present
    return Dependence(
        first.n + second.n,
        first.sum_first + second.sum_first,
        first.sum_second + second.sum_second,
        first.sum_first_squared + second.sum_first_squared,
        first.sum_second_squared + second.sum_second_squared,
        first.sum_product + second.sum_product,
    )
