"""Builds that an owner vouches for beside the released file: a list in the metadata he signs.

A bundle's manifest never changes, but how else its model may run is often proved later. So the
list travels as revocations do. It is replaced as a whole: a build that is not on it any more is a
candidate again. Specification: docs/formats/builds.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sightloop.contracts.bundle import GoldenImage, Precision, RuntimeName
from sightloop.kernel.digests import Digest

GATED_FIELD = "x-sightloop-gated"
"""The field of the owner's targets metadata that holds the list."""


class GatedBuild(msgspec.Struct, frozen=True, kw_only=True):
    """A way to run the model that was proved on images it had not seen, for a class of devices."""

    device_class: str
    """`""` is every class."""
    runtime: RuntimeName
    precision: Precision
    images: Digest | None = None
    """Of the images that scaled it, see `builds.scaled_on`: other images make another build, which
    nobody judged. None where nothing is scaled."""
    golden: list[GoldenImage] = []
    """What the judged build itself reports in the bundle's golden images: a device must see this.
    Empty where that is what the bundle promises. Eight bits lose nothing on the whole and yet move
    some boxes further than two hosts may differ."""


class GatedBundle(msgspec.Struct, frozen=True, kw_only=True):
    """How else one bundle may run."""

    bundle: Digest
    version: int
    builds: list[GatedBuild]


def gated_in(fields: Mapping[str, Any]) -> list[GatedBundle]:
    """What the fields of an owner's metadata say; what an agent does not understand gates nothing.

    A newer server may know runtimes that this agent does not: they must not cost it the others.
    """
    said = fields.get(GATED_FIELD, [])
    found = []
    for one in said if isinstance(said, list) else []:
        try:
            listed = msgspec.convert(one, _Listed)
        except msgspec.ValidationError:
            continue
        builds = [build for build in map(_understood, listed.builds) if build is not None]
        found.append(GatedBundle(bundle=listed.bundle, version=listed.version, builds=builds))
    return found


def as_fields(gated: list[GatedBundle]) -> dict[str, Any]:
    """The list as fields of the owner's metadata."""
    return {GATED_FIELD: msgspec.to_builtins(gated)} if gated else {}


class _Listed(msgspec.Struct, frozen=True):
    bundle: Digest
    version: int
    builds: list[dict[str, Any]]


def _understood(build: dict[str, Any]) -> GatedBuild | None:
    try:
        return msgspec.convert(build, GatedBuild)
    except msgspec.ValidationError:
        return None
