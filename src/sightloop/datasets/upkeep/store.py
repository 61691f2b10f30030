"""The SQL of upkeep: objects by the thousand, and text in any table that names a digest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

from sqlalchemy import LargeBinary, String, Table, func, or_, select

from sightloop.datasets.keys import ObjectKey, SampleKey
from sightloop.kernel.database import POINTS, Tx, all_tables, metadata
from sightloop.kernel.digests import Digest

AT_ONCE = 5_000
"""Objects per statement, and per short write transaction."""

_STREAMED = 2_000
_T = TypeVar("_T")


class FoundObject(NamedTuple):
    """An object as it lies there; its bytes were not checked."""

    key: ObjectKey
    kind: str
    content: bytes


class Weighed(NamedTuple):
    """Objects of one kind."""

    kind: str
    n: int
    size_bytes: int


def find_objects(tx: Tx, keys: Collection[ObjectKey]) -> Iterator[FoundObject]:
    """Those of the objects that are there."""
    objects = _table("dataset_objects")
    for some in chunks(keys, AT_ONCE):
        query = select(objects.c.digest, objects.c.kind, objects.c.content)
        for row in tx.execute(query.where(objects.c.digest.in_(some))):
            yield FoundObject(ObjectKey(row[0]), row[1], row[2])


def every_ref(tx: Tx) -> list[tuple[str, str, Digest]]:
    """Kind, name and commit of every ref; branches and tags first."""
    refs = _table("dataset_refs")
    query = select(refs.c.kind, refs.c.name, refs.c.commit_digest)
    found = [(kind, name, Digest(commit)) for kind, name, commit in tx.execute(query)]
    order = {"branch": 0, "tag": 1}
    return sorted(found, key=lambda one: (order.get(one[0], 2), one))


def every_key(tx: Tx) -> Iterator[ObjectKey]:
    """The key of every object: read from the index alone, without their bytes."""
    query = select(_table("dataset_objects").c.digest)
    for key in tx.scalars(query.execution_options(yield_per=_STREAMED)):
        yield ObjectKey(key)


def every_row(tx: Tx) -> Iterator[tuple[ObjectKey, bytes]]:
    """Every row of every version, needed or not."""
    objects = _table("dataset_objects")
    query = select(objects.c.digest, objects.c.content).where(objects.c.kind == "row")
    for key, content in tx.execute(query.execution_options(yield_per=_STREAMED)):
        yield ObjectKey(key), content


def every_commit(tx: Tx) -> list[ObjectKey]:
    """The key of every commit, reachable or not."""
    objects = _table("dataset_objects")
    query = select(objects.c.digest).where(objects.c.kind == "commit").order_by(objects.c.digest)
    return [ObjectKey(key) for key in tx.scalars(query)]


def weigh_objects(tx: Tx, keys: Collection[ObjectKey]) -> dict[ObjectKey, Weighed]:
    """Kind and size of each of these objects that is there."""
    objects = _table("dataset_objects")
    found: dict[ObjectKey, Weighed] = {}
    for some in chunks(keys, AT_ONCE):
        query = select(objects.c.digest, objects.c.kind, func.length(objects.c.content))
        for key, kind, size_bytes in tx.execute(query.where(objects.c.digest.in_(some))):
            found[ObjectKey(key)] = Weighed(kind, 1, int(size_bytes))
    return found


def delete_objects(tx: Tx, keys: Collection[ObjectKey]) -> None:
    """Take these objects away. Nothing that stays may lead to them."""
    objects = _table("dataset_objects")
    for some in chunks(keys, AT_ONCE):
        tx.execute(objects.delete().where(objects.c.digest.in_(some)))


def replace_object(tx: Tx, key: ObjectKey, kind: str, content: bytes) -> None:
    """Put the right bytes in the place of changed or missing ones."""
    objects = _table("dataset_objects")
    tx.execute(objects.delete().where(objects.c.digest == key))
    tx.execute(objects.insert().values(digest=key, kind=kind, content=content))


def every_split_key_sample(tx: Tx) -> Iterator[SampleKey]:
    """Every sample in the split-key index, once."""
    query = select(_table("dataset_split_keys").c.sample).distinct()
    for sample in tx.scalars(query.execution_options(yield_per=_STREAMED)):
        yield SampleKey(sample)


def delete_split_keys(tx: Tx, samples: Collection[SampleKey]) -> int:
    """Forget that these samples ever had a split key; returns how many entries went."""
    keys = _table("dataset_split_keys")
    n = 0
    for some in chunks(samples, AT_ONCE):
        n += tx.execute(keys.delete().where(keys.c.sample.in_(some))).rowcount
    return n


def texts_with(tx: Tx, words: str, *, apart_from: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The name of a table and a text in it that contains the words, for every such text.

    Looks through every table that any room declared, except those named and those of metric points,
    which hold numbers of runs alone. Binary columns are
    yielded unasked: they cannot be searched in the same way everywhere.
    """
    for table in every_table():
        columns = [one for one in table.columns if isinstance(one.type, String | LargeBinary)]
        if table.name in apart_from or not columns:
            continue
        query = select(*columns)
        if not any(isinstance(one.type, LargeBinary) for one in columns):
            query = query.where(or_(*(one.contains(words, autoescape=True) for one in columns)))
        for row in tx.execute(query.execution_options(yield_per=_STREAMED)):
            for value in row:
                if isinstance(value, str):
                    yield table.name, value.encode()
                elif isinstance(value, bytes):
                    yield table.name, value


def every_table() -> list[Table]:
    """Every table that any room declared, but those of metric points."""
    return [table for table in all_tables() if table.schema != POINTS]


def chunks(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """The values, so many at a time."""
    remaining = iter(values)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _table(name: str) -> Table:
    return metadata.tables[name]
