"""Which split a sample belongs to: a pure function of its split key, stable under additions.

A hash of the split key decides, so that crops of one board or frames of one scene stay together,
and so that adding images never moves one that is already there. Audit images are set apart by
reservation: their whole split key is, unless the key has been learned from already.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from sightloop.datasets.errors import BadSplitRule
from sightloop.datasets.values import Sample, Split


class SplitRule(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the split keys go where. Another salt deals them out anew.

    Raises:
        BadSplitRule: a fraction is negative, or they do not add up to 1.
    """

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1
    salt: str = ""

    def __post_init__(self) -> None:
        fractions = (self.train, self.val, self.test)
        if min(fractions) < 0 or not math.isclose(sum(fractions), 1.0, abs_tol=1e-9):
            raise BadSplitRule(train=self.train, val=self.val, test=self.test)

    def __str__(self) -> str:
        parts = f"train {self.train:g}, val {self.val:g}, test {self.test:g}"
        return f"{parts}, salt {self.salt!r}" if self.salt else parts


def split_of(sample: Sample, rule: SplitRule) -> Split | None:
    """The sample's split; None while it is quarantined."""
    if sample.quarantined:
        return None
    if sample.reserved is not None:
        return sample.reserved
    share = share_of(sample.split_key, salt=rule.salt)
    if share < rule.test:
        return "test"
    return "val" if share < rule.test + rule.val else "train"


def share_of(split_key: str, *, salt: str) -> float:
    """Where the key falls in [0, 1), evenly over all keys.

    >>> share_of("board 1", salt="") == share_of("board 1", salt="") != share_of("board 2", salt="")
    True
    """
    digest = hashlib.sha256(f"{salt}\x00{split_key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def admit(new_sample: Sample, samples_of_same_key: Iterable[Sample], rule: SplitRule) -> Sample:
    """The sample as it may enter a commit that already has these samples of its split key.

    An audit image is proof only while nothing like it was learned from: with the key in train or
    val it is quarantined. And once a key is reserved for audit, whatever else comes with that key
    is reserved too.
    """
    splits = {split_of(one, rule) for one in samples_of_same_key}
    if new_sample.reserved == "audit":
        if splits & {"train", "val"}:
            return msgspec.structs.replace(new_sample, quarantined=True)
        return new_sample
    if "audit" in splits:
        return msgspec.structs.replace(new_sample, reserved="audit")
    return new_sample


def admit_all(
    new_samples: Sequence[Sample], present: Mapping[str, Sequence[Sample]], rule: SplitRule
) -> list[Sample]:
    """Every new sample as `admit` lets it in; `present` holds the commit's samples by split key.

    Reservations among the new samples count for each other whatever their order. The result is
    in the order of `new_samples`.
    """
    reserved = {
        one.id: admit(one, present.get(one.split_key, ()), rule)
        for one in new_samples
        if one.reserved == "audit"
    }
    audited = {one.split_key: one for one in reserved.values() if not one.quarantined}
    admitted = []
    for one in new_samples:
        known = list(present.get(one.split_key, ()))
        if one.split_key in audited:
            known.append(audited[one.split_key])
        admitted.append(reserved[one.id] if one.id in reserved else admit(one, known, rule))
    return admitted
