"""Which rows are meant to be erased: of all versions, and every one that shows the same image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.errors import BadFilter
from sightloop.datasets.keys import ObjectKey
from sightloop.datasets.samples import iterate_samples
from sightloop.datasets.upkeep import store
from sightloop.datasets.upkeep.errors import NothingNamed
from sightloop.datasets.values import Sample, SampleId, strata_of
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest, parse_digest


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Samples by id or image, or those to which every slice and tag that is given applies."""

    samples: list[SampleId] = []
    images: list[Digest] = []
    slices: list[str] = []
    """`field=value`, all of them."""
    tag: str = ""
    ref: str = ""
    """With one, slices and tag are looked for there only; without, in every version."""

    @property
    def told(self) -> str:
        """In words, for people."""
        parts = [*self.samples, *self.images, *self.slices, *([self.tag] if self.tag else [])]
        return ", ".join(parts)


class RowFacts(NamedTuple):
    """What erasing needs to know of a row."""

    sample: SampleId
    image: Digest
    file_name: str


class Selection(NamedTuple):
    """Images to erase, and every row in the database that shows one of them."""

    images: set[Digest]
    rows: dict[ObjectKey, RowFacts]

    @property
    def samples(self) -> set[SampleId]:
        """Of which samples the rows are versions."""
        return {row.sample for row in self.rows.values()}


def select_rows(tx: Tx, wanted: Wanted) -> Selection:
    """What fits; nothing that does not.

    An image that is named counts even where no row shows it: somebody may just have sent it.

    Raises:
        NothingNamed: everything would fit.
        BadFilter: a slice is not `field=value`.
        NoSuchRef, AmbiguousRef: `ref` names no commit.
    """
    named = {parse_digest(one) for one in wanted.images}
    if not (named or wanted.samples or wanted.slices or wanted.tag):
        raise NothingNamed
    for stratum in wanted.slices:
        if "=" not in stratum:
            raise BadFilter(what="slice", value=stratum, known=["FIELD=VALUE"])
    images = named | {one.image for one in _fitting(tx, wanted)}
    return Selection(images, rows_of_images(tx, images))


def rows_of_images(tx: Tx, images: set[Digest]) -> dict[ObjectKey, RowFacts]:
    """Every row of every version, reachable or not, that shows one of the images."""
    found = {}
    for key, content in store.every_row(tx):
        row = _FACTS.decode(content)
        if row.image in images:
            found[key] = RowFacts(row.id, row.image, row.file_name)
    return found


class _Row(msgspec.Struct):
    id: SampleId
    image: Digest
    file_name: str
    slices: dict[str, str] = {}
    tags: list[str] = []


_FACTS = msgspec.json.Decoder(_Row)


def _fitting(tx: Tx, wanted: Wanted) -> Iterator[_Row | Sample]:
    samples = set(wanted.samples)
    if samples:
        yield from (row for row in _every_row(tx) if row.id in samples)
    if wanted.slices or wanted.tag:
        rows: Iterator[_Row | Sample] = _every_row(tx)
        if wanted.ref:
            rows = iterate_samples(tx, resolve_ref(tx, wanted.ref))
        yield from (row for row in rows if _applies(row, wanted))


def _every_row(tx: Tx) -> Iterator[_Row]:
    return (_FACTS.decode(content) for _, content in store.every_row(tx))


def _applies(row: _Row | Sample, wanted: Wanted) -> bool:
    has_slices = set(wanted.slices) <= set(strata_of(row.slices))
    return has_slices and (not wanted.tag or wanted.tag in row.tags)
