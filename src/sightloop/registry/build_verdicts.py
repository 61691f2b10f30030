"""What was decided about builds of versions: kept for good; the newest word on a build counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    insert,
    select,
)

from sightloop.contracts.bundle import GoldenImage, Precision, RuntimeName
from sightloop.contracts.gated_builds import GatedBuild, GatedBundle
from sightloop.evaluation.gate import Verdict
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.registry.values import ModelName, ModelVersion, VerdictId

_verdicts = Table(
    "build_verdicts",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("decided_at_ms", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
    ForeignKeyConstraint(["model", "number"], ["model_versions.model", "model_versions.number"]),
    Index("build_verdicts_by_version", "model", "number", "sequence"),
)


class BuildVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate said of one way to run a version, on which evidence."""

    id: VerdictId
    model: ModelName
    number: int
    device_class: str
    """`""` is every class."""
    runtime: RuntimeName
    runtime_version: str
    """With which it was judged; empty where only devices have it."""
    precision: Precision
    images: Digest | None
    """Of the images that scaled it."""
    verdict: Verdict
    evaluation: str
    """Of the released file, which it was held to."""
    n_devices: int
    """Devices whose report counted."""
    golden: list[GoldenImage] = []
    """What the build reports in the golden images, where that is not what the bundle promises."""
    decided_at_ms: int

    @property
    def build(self) -> GatedBuild:
        """The build it is about, as a device is told of it."""
        return GatedBuild(
            device_class=self.device_class,
            runtime=self.runtime,
            precision=self.precision,
            images=self.images,
            golden=self.golden,
        )


def add_build_verdict(tx: Tx, record: BuildVerdict) -> None:
    """Record the verdict; nothing is forgotten."""
    tx.execute(
        insert(_verdicts).values(
            id=record.id,
            model=record.model,
            number=record.number,
            decided_at_ms=record.decided_at_ms,
            record=msgspec.json.encode(record, order="sorted").decode(),
        )
    )


def build_verdicts_of(tx: Tx, model: str, number: int) -> list[BuildVerdict]:
    """The newest word on each build of the version, by class, runtime and precision."""
    return newest_words(_all_of(tx, model, number))


def gated_bundles(tx: Tx, versions: Iterable[ModelVersion]) -> list[GatedBundle]:
    """What their owner may sign: the builds of these versions that passed."""
    found = []
    for version in versions:
        words = build_verdicts_of(tx, version.model, version.number)
        builds = [one.build for one in words if one.verdict.outcome == "pass"]
        if builds:
            found.append(GatedBundle(bundle=version.bundle, version=version.number, builds=builds))
    return found


def newest_words(verdicts: Iterable[BuildVerdict]) -> list[BuildVerdict]:
    """The last verdict on each build, of verdicts in the order they were given."""
    newest = {
        (one.device_class, one.runtime, one.precision, one.images or ""): one for one in verdicts
    }
    return [newest[build] for build in sorted(newest)]


def _all_of(tx: Tx, model: str, number: int) -> list[BuildVerdict]:
    mine: Any = (_verdicts.c.model == model) & (_verdicts.c.number == number)
    query = select(_verdicts.c.record).where(mine).order_by(_verdicts.c.sequence)
    return [msgspec.json.decode(one, type=BuildVerdict) for one in tx.scalars(query)]
