"""How data sets call their splits."""

from __future__ import annotations

import re

from sightloop.datasets.values import Split

_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "audit": "audit",
}


def split_named(name: object) -> Split | None:
    """The split that is called so; None when no split is.

    >>> split_named("valid"), split_named("fold 1")
    ('val', None)
    """
    return _NAMES.get(name.lower()) if isinstance(name, str) else None


def split_in(stem: str) -> Split | None:
    """The split that a file's name tells of, when it tells of exactly one.

    >>> split_in("instances_val2017"), split_in("annotations"), split_in("train_and_test")
    ('val', None, None)
    """
    told = {split_named(word) for word in re.findall(r"[a-z]+", stem.lower())} - {None}
    return told.pop() if len(told) == 1 else None
