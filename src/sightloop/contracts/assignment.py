"""Which bundle a device's slot should run: a small document signed by the server's online key.

It can only choose among bundles that the model's owner signed; it never vouches for one.
Specification: docs/formats/check-in.md.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.kernel.digests import Digest

FORMAT: Literal["sightloop.assignment/1"] = "sightloop.assignment/1"


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One device, one slot, one bundle. A device refuses a counter it has already passed."""

    format: Literal["sightloop.assignment/1"] = FORMAT
    device: str
    slot: str
    model: str
    version: int
    bundle: Digest
    counter: int
    issued_at_ms: int


class SignedAssignment(msgspec.Struct, frozen=True):
    """The assignment's exact bytes and a signature over them.

    `signature` is hexadecimal; `key_id` names one of the keys to which the update metadata
    delegates the role `assignments`.
    """

    payload: bytes
    key_id: str
    signature: str
