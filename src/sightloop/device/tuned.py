"""Which way to run a bundle a device has chosen, kept beside its state and read by each worker.

`tuning.json` is written whole, by `sightloop agent tune` alone; an agent that runs reads it when
it starts a worker. A choice holds for the library, the processor and the driver it was measured
with: with another, the bundle runs as it was released until the device is tuned again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from sightloop.contracts.builds import BuildKey, BuildReport
from sightloop.contracts.decode import WrongFormat, decode, encode
from sightloop.kernel.digests import Digest
from sightloop.kernel.files import write_atomic

TUNING_NAME = "tuning.json"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """How to run one bundle."""

    key: BuildKey
    threads: int


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one bundle, and what was chosen of it."""

    measured_at_ms: int
    choice: Choice | None
    """None when nothing gated could be measured."""
    reports: list[BuildReport]


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; small, written whole."""

    format: Literal["sightloop.agent-tuning/1"] = "sightloop.agent-tuning/1"
    bundles: dict[Digest, Tuned] = {}


def read_tuning(home: Path) -> Tuning:
    """What the device knows; nothing where the file is missing or damaged, for it can be measured.

    A worker must start whatever this file holds.
    """
    try:
        return decode((home / TUNING_NAME).read_bytes(), Tuning, what=TUNING_NAME)
    except (OSError, WrongFormat):
        return Tuning()


def keep_tuning(home: Path, bundle: Digest, tuned: Tuned) -> None:
    """Remember it for this bundle, durably; a reader sees the old record or the new one.

    Raises:
        DiskFull: no room; the old record stays.
    """
    before = read_tuning(home)
    after = msgspec.structs.replace(before, bundles={**before.bundles, bundle: tuned})
    write_atomic(home / TUNING_NAME, encode(after), mode=0o600)
