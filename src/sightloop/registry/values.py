"""Models, versions and aliases as values, and how their names are written."""

from __future__ import annotations

import re
from typing import Literal, NewType

import msgspec

from sightloop.evaluation.gate import Verdict
from sightloop.kernel.actors import ActorId
from sightloop.kernel.digests import Digest
from sightloop.registry.errors import BadAliasName, BadModelName, BadVersionReference

ModelName = NewType("ModelName", str)
VerdictId = NewType("VerdictId", str)
Decision = Literal["approve", "reject"]

CHAMPION = "champion"
"""The version devices get; the one alias that only a passing version may take."""

_MODEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable bundle of a model, numbered from 1."""

    model: ModelName
    number: int
    bundle: Digest
    run: str
    dataset_commit: Digest | None
    """None when nobody recorded what it learned from: it is a candidate that no gate judges."""
    created_at_ms: int
    signed_at_ms: int | None = None
    revoked_at_ms: int | None = None
    """Since when its owner wants it to run nowhere; None for a version in good standing."""
    revoked_reason: str = ""

    @property
    def name(self) -> str:
        """As people and commands write it: `pcb@3`."""
        return f"{self.model}@{self.number}"


def parity_artifact(bundle: Digest) -> str:
    """Under which name a tracked run keeps the answers that its checkpoint gave for this bundle."""
    return f"packaged/{bundle.rpartition(':')[2][:12]}/parity.json"


class VerdictRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate said of a version, on which evidence."""

    id: VerdictId
    model: ModelName
    number: int
    champion: int | None
    """The version it had to match; None for the first of its model."""
    verdict: Verdict
    evaluation: str
    champion_evaluation: str | None
    decided_at_ms: int


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided about a version that passed its gate. It is decided once."""

    model: ModelName
    number: int
    decision: Decision
    comment: str
    verdict: VerdictId
    """The verdict the person read."""
    by: ActorId
    at_ms: int


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A pointer to a version."""

    model: ModelName
    alias: str
    number: int
    moved_at_ms: int


class PublicKey(msgspec.Struct, frozen=True):
    """The public half of an ECDSA P-256 key; `id` is what the update metadata calls it."""

    id: str
    pem: str


class VersionReference(msgspec.Struct, frozen=True):
    """A version by number or by alias; exactly one of the two is set."""

    model: ModelName
    number: int | None = None
    alias: str | None = None


def parse_model(text: str) -> ModelName:
    """The text as a model's name.

    Raises:
        BadModelName: it has other characters, none, or too many.
    """
    if not _MODEL.fullmatch(text):
        raise BadModelName(name=text)
    return ModelName(text)


def parse_alias(text: str) -> str:
    """The text as an alias.

    Raises:
        BadAliasName: it has other characters, none, too many, or begins with a digit.
    """
    if not _ALIAS.fullmatch(text):
        raise BadAliasName(name=text)
    return text


def parse_reference(text: str) -> VersionReference:
    """What `MODEL@NUMBER` or `MODEL@ALIAS` names.

    >>> parse_reference("pcb@3").number
    3
    >>> parse_reference("pcb@champion").alias
    'champion'

    Raises:
        BadVersionReference: it has another form.
    """
    model, _, rest = text.partition("@")
    if _MODEL.fullmatch(model) and rest.isascii() and rest.isdigit() and len(rest) <= 9:
        return VersionReference(ModelName(model), number=int(rest))
    if _MODEL.fullmatch(model) and _ALIAS.fullmatch(rest):
        return VersionReference(ModelName(model), alias=rest)
    raise BadVersionReference(text=text)
