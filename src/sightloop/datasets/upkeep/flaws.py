"""What verifying found: which bytes are not what they were, and what that touches. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.datasets.values import SampleId
from sightloop.kernel.digests import Digest

FlawState = Literal["damaged", "missing"]
PartKind = Literal["commit", "taxonomy", "node", "row", "image"]

N_COMMITS_LISTED = 20
N_NAMES_LISTED = 5


class Flaw(msgspec.Struct, frozen=True, kw_only=True):
    """One object or image that is damaged or missing, and was not erased."""

    digest: Digest
    kind: PartKind
    state: FlawState
    n_commits: int
    commits: list[Digest]
    """The first few of the commits that hold it."""
    refs: list[str]
    """`branch main`: those of the refs that were looked at whose commit holds it now."""
    samples: list[SampleId]
    file_names: list[str]
    """Of the first few samples that show the image; empty for other parts."""
    is_repaired: bool = False


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what is wrong with it."""

    refs: list[str]
    n_commits: int
    n_objects: int
    n_images: int
    size_bytes: int
    n_erased: int
    """Rows and images with a tombstone; they are as they should be."""
    n_promised: int
    """Images that were left on a remote on purpose; they are not looked for."""
    flaws: list[Flaw]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong, or not any more."""
        return all(one.is_repaired for one in self.flaws)
