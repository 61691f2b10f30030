"""Versions that their owner took back: a list in the metadata that the owner signs.

Specification: docs/formats/bundle.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sightloop.contracts.decode import WrongFormat
from sightloop.kernel.digests import Digest

REVOKED_FIELD = "x-sightloop-revoked"
"""The field of the owner's targets metadata that holds the list."""


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """This bundle must not run anywhere any more, whoever assigns it."""

    bundle: Digest
    version: int
    reason: str
    revoked_at_ms: int


def revocations_in(fields: Mapping[str, Any], *, what: str) -> list[Revocation]:
    """The revocations among the fields of an owner's metadata; none when it has no such field.

    Raises:
        WrongFormat: the field holds something else.
    """
    try:
        return msgspec.convert(fields.get(REVOKED_FIELD, []), list[Revocation])
    except msgspec.ValidationError as error:
        found = f"breaks its rules: {error}"
        raise WrongFormat(what=what, wanted="a list of revocations", found=found) from error


def as_fields(revocations: list[Revocation]) -> dict[str, Any]:
    """The revocations as fields of the owner's metadata."""
    return {REVOKED_FIELD: msgspec.to_builtins(revocations)} if revocations else {}
