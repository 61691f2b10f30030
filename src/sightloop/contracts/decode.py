"""Reading a contract from bytes, with one clear error when they are something else."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sightloop.kernel.errors import BadInput

T = TypeVar("T", bound=msgspec.Struct)


class WrongFormat(BadInput):
    """The bytes are not the record they should be, or of a version this Sightloop cannot read."""

    code = "FORMAT-001"

    def __init__(self, *, what: str, wanted: str, found: str) -> None:
        super().__init__(
            f"{what} should be {wanted} but {found}; "
            "update the older side, or fix the file - docs/formats/ has the specification",
            what=what,
            wanted=wanted,
            found=found,
        )


class _Header(msgspec.Struct):
    format: str = ""


def decode(content: bytes, kind: type[T], *, what: str) -> T:
    """The record in `content`; `what` names it in the error.

    Raises:
        WrongFormat: not JSON, another format, another version, or a field is missing or wrong.
    """
    wanted = _format_of(kind)
    try:
        found = msgspec.json.decode(content, type=_Header).format
    except msgspec.DecodeError as error:
        raise WrongFormat(what=what, wanted=wanted, found=f"is not JSON ({error})") from error
    if found != wanted:
        named = f"is {found!r}" if found else "names no format"
        raise WrongFormat(what=what, wanted=wanted, found=named)
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise WrongFormat(what=what, wanted=wanted, found=f"breaks its rules: {error}") from error


def format_named(content: bytes) -> str:
    """Which format the bytes say they are; empty when they say none."""
    try:
        return msgspec.json.decode(content, type=_Header).format
    except msgspec.DecodeError:
        return ""


def encode(record: msgspec.Struct) -> bytes:
    """Canonical bytes: equal records give equal bytes, so they can be hashed and signed."""
    return msgspec.json.encode(record, order="sorted")


def _format_of(kind: type[msgspec.Struct]) -> str:
    for field in msgspec.structs.fields(kind):
        if field.name == "format":
            return str(field.default)
    raise AssertionError(f"{kind.__name__} crosses processes and needs a format field")
