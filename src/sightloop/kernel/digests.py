"""Names of bytes: SHA-256 with the algorithm written in front."""

from __future__ import annotations

import hashlib
import re
from typing import Any, NewType

import msgspec

from sightloop.kernel.errors import BadInput

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hexadecimal digits."""

_FORM = re.compile(r"sha256:[0-9a-f]{64}")


class MalformedDigest(BadInput):
    """A text that should name bytes does not have the form of a digest."""

    code = "SL-110"

    def __init__(self, *, text: str) -> None:
        super().__init__(
            f"{text[:80]!r} is not a digest; one reads 'sha256:' and 64 hexadecimal digits",
            text=text[:80],
        )


def digest_of(content: bytes | bytearray | memoryview) -> Digest:
    """The name of these bytes.

    >>> digest_of(b"")[:19]
    'sha256:e3b0c44298fc'
    """
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def digest_of_record(record: Any) -> Digest:  # noqa: ANN401 - any msgspec-encodable value
    """The name of a value: of its canonical JSON, whose keys are sorted at every depth.

    >>> digest_of_record({"b": 1, "a": 2}) == digest_of_record({"a": 2, "b": 1})
    True
    """
    return digest_of(canonical_json(record))


def canonical_json(record: Any) -> bytes:  # noqa: ANN401 - any msgspec-encodable value
    """Bytes that depend on the value alone: sorted keys, no spaces, UTF-8."""
    return msgspec.json.encode(record, order="sorted")


def parse_digest(text: str) -> Digest:
    """The text as a digest.

    Raises:
        MalformedDigest: it has another form, so it could also be a path out of the store.
    """
    if not _FORM.fullmatch(text):
        raise MalformedDigest(text=text)
    return Digest(text)


def short(digest: str) -> str:
    """Twelve digits, enough for people and never for lookups.

    >>> short("sha256:" + "ab" * 32)
    'abababababab'
    """
    return digest.removeprefix("sha256:")[:12]
