"""Where commits are kept: immutable objects, moving refs, and one index that can be thrown away.

Rows, tree nodes, taxonomies and commit records are **objects**: bytes named by their SHA-256,
inserted once and never changed. A **ref** points a branch or tag at a commit and moves only by
compare-and-swap; the **ref log** keeps where each ref was and when it moved. The split-key index
says which samples ever had a key; what they are in a given commit is asked of the commit's tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from sightloop.datasets.errors import HeadMoved, ObjectDamaged, ObjectMissing, RefExists
from sightloop.datasets.keys import (
    ObjectKey,
    ObjectKind,
    SampleKey,
    digest_of_key,
    object_key,
    sample_key,
    sample_of_key,
)
from sightloop.datasets.tombstones import (
    Tombstone,
    erased_keys,
    find_tombstones,
    has_tombstones,
    write_tombstones,
)
from sightloop.datasets.values import SampleId
from sightloop.kernel.actors import ActorId
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest

RefKind = Literal["branch", "tag", "remote"]
"""`remote`: where a branch of a remote was when it was last looked at, as REMOTE/BRANCH."""

_PER_STATEMENT = 5_000
"""Values named in one SELECT, rows in one INSERT; SQLite allows 32,766."""

_objects = Table(
    "dataset_objects",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
_refs = Table(
    "dataset_refs",
    metadata,
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("commit_digest", Text, nullable=False),
    Column("moved_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("kind", "name"),
)
_ref_log = Table(
    "dataset_ref_log",
    metadata,
    # SQLite numbers rows itself only when the key is exactly INTEGER.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("old", Text),
    Column("new", Text),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("by", Text),
)
_split_keys = Table(
    "dataset_split_keys",
    metadata,
    Column("key_hash", LargeBinary(8), nullable=False),
    Column("sample", LargeBinary(16), nullable=False),
    PrimaryKeyConstraint("key_hash", "sample"),
    sqlite_with_rowid=False,
)

_T = TypeVar("_T")


class StoredObject(NamedTuple):
    """Bytes to keep under their name."""

    key: ObjectKey
    kind: ObjectKind
    content: bytes


class Ref(msgspec.Struct, frozen=True):
    """Where a branch or tag points, and since when."""

    kind: RefKind
    name: str
    commit: Digest
    moved_at_ms: int


class RefMove(msgspec.Struct, frozen=True):
    """A branch or tag was made (no `old`), moved, or taken away (no `new`)."""

    kind: RefKind
    name: str
    old: Digest | None
    new: Digest | None
    at_ms: int
    by: ActorId | None
    """Who did it; None where the caller did not say."""


def write_objects(tx: Tx, objects: Iterable[StoredObject]) -> None:
    """Keep these objects; one that is there already is left alone.

    A row of an image that was erased here is not kept but gets a tombstone like its image: it may
    come from a remote that knows nothing of it.
    """
    # In order of the keys: neighbours in the index are then written together.
    ordered = _without_erased(tx, sorted(objects))
    for some in _chunks(ordered):
        rows = [{"digest": one.key, "kind": one.kind, "content": one.content} for one in some]
        _insert_new(tx, _objects, rows)


def read_objects(tx: Tx, keys: Collection[ObjectKey]) -> dict[ObjectKey, bytes]:
    """The bytes of all these objects, each checked against its name.

    Raises:
        ObjectMissing: the database lacks one.
        ObjectDamaged: the bytes of one have changed.
    """
    found = _read_present(tx, keys)
    for key in keys:
        if key not in found:
            raise ObjectMissing(digest=digest_of_key(key))
    return found


def read_rows(tx: Tx, keys: Collection[ObjectKey]) -> dict[ObjectKey, bytes]:
    """As `read_objects`, but without the rows that were erased.

    Raises:
        ObjectMissing: the database lacks one that was not erased.
        ObjectDamaged: the bytes of one have changed.
    """
    found = _read_present(tx, keys)
    if len(found) < len(keys) and (missing := [key for key in keys if key not in found]):
        erased = erased_keys(tx, missing)
        for key in missing:
            if key not in erased:
                raise ObjectMissing(digest=digest_of_key(key))
    return found


def read_object(tx: Tx, digest: Digest) -> bytes:
    """The bytes of one object; see `read_objects`.

    Raises:
        ObjectMissing: the database lacks it.
        ObjectDamaged: its bytes have changed.
    """
    key = object_key(digest)
    return read_objects(tx, [key])[key]


def present_objects(tx: Tx, keys: Collection[ObjectKey]) -> set[ObjectKey]:
    """Those of the keys that are objects here; their bytes are not read."""
    found: set[ObjectKey] = set()
    for some in _chunks(keys):
        query = select(_objects.c.digest).where(_objects.c.digest.in_(some))
        found.update(ObjectKey(key) for key in tx.scalars(query))
    return found


def find_commits(tx: Tx, hex_prefix: str, *, limit: int = 10) -> list[Digest]:
    """Commits whose digest begins with these hexadecimal digits, at most `limit` of them."""
    first = bytes.fromhex(hex_prefix.ljust(64, "0"))
    last = bytes.fromhex(hex_prefix.ljust(64, "f"))
    query = (
        select(_objects.c.digest)
        .where(_objects.c.digest.between(first, last) & (_objects.c.kind == "commit"))
        .order_by(_objects.c.digest)
        .limit(limit)
    )
    return [digest_of_key(ObjectKey(key)) for key in tx.scalars(query)]


class StoredNodes:
    """Tree nodes out of the database, each read once. Lives as long as its transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._known: dict[ObjectKey, bytes] = {}

    def read(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, bytes]:
        """The nodes' bytes; see `tree.Nodes`.

        Raises:
            ObjectMissing: the database lacks one.
            ObjectDamaged: the bytes of one have changed.
        """
        if missing := [key for key in keys if key not in self._known]:
            self._known.update(read_objects(self._tx, missing))
        return {key: self._known[key] for key in keys}


def find_ref(tx: Tx, kind: RefKind, name: str) -> Ref | None:
    """The ref of that name."""
    query = select(_refs).where((_refs.c.kind == kind) & (_refs.c.name == name))
    row = tx.execute(query).first()
    return None if row is None else Ref(*row)


def list_refs(tx: Tx, kind: RefKind, *, after: str = "", limit: int | None = None) -> list[Ref]:
    """The refs of the kind, by name; with `after`, those whose name comes later."""
    mine = (_refs.c.kind == kind) & (_refs.c.name > after)
    query = select(_refs).where(mine).order_by(_refs.c.name).limit(limit)
    return [Ref(*row) for row in tx.execute(query)]


def create_ref(tx: Tx, ref: Ref, *, by: ActorId | None = None) -> None:
    """Make a ref that was not there.

    Raises:
        RefExists: there is one of that kind and name.
    """
    found = find_ref(tx, ref.kind, ref.name)
    if found is not None:
        raise RefExists(kind=ref.kind, name=ref.name, commit=found.commit)
    tx.execute(
        insert(_refs).values(
            kind=ref.kind, name=ref.name, commit_digest=ref.commit, moved_at_ms=ref.moved_at_ms
        )
    )
    _log_move(tx, RefMove(ref.kind, ref.name, None, ref.commit, ref.moved_at_ms, by))


def advance_branch(
    tx: Tx,
    branch: str,
    *,
    expected: Digest | None,
    to: Digest,
    now_ms: int,
    by: ActorId | None = None,
) -> None:
    """Move the branch from the expected commit (None: it does not exist yet) to the new one.

    Raises:
        HeadMoved: it is elsewhere; nothing was written.
    """
    if expected is None:
        if find_ref(tx, "branch", branch) is None:
            create_ref(tx, Ref("branch", branch, to, now_ms), by=by)
            return
    else:
        moved = tx.execute(
            update(_refs)
            .where(_is_at("branch", branch, expected))
            .values(commit_digest=to, moved_at_ms=now_ms)
        )
        if moved.rowcount == 1:
            _log_move(tx, RefMove("branch", branch, expected, to, now_ms, by))
            return
    found = find_ref(tx, "branch", branch)
    raise HeadMoved(branch=branch, expected=expected, found=found.commit if found else None)


def set_ref(tx: Tx, ref: Ref, *, by: ActorId | None = None) -> None:
    """Make the ref point there, wherever it was: for what only mirrors another place."""
    found = find_ref(tx, ref.kind, ref.name)
    if found is None:
        create_ref(tx, ref, by=by)
    elif found.commit != ref.commit:
        is_it = (_refs.c.kind == ref.kind) & (_refs.c.name == ref.name)
        values = {"commit_digest": ref.commit, "moved_at_ms": ref.moved_at_ms}
        tx.execute(update(_refs).where(is_it).values(values))
        _log_move(tx, RefMove(ref.kind, ref.name, found.commit, ref.commit, ref.moved_at_ms, by))


def delete_ref(tx: Tx, ref: Ref, *, now_ms: int, by: ActorId | None = None) -> None:
    """Take away a branch or tag that points where `ref` does; the commit itself stays.

    Raises:
        HeadMoved: it is elsewhere, or gone; nothing was written.
    """
    gone = tx.execute(delete(_refs).where(_is_at(ref.kind, ref.name, ref.commit)))
    if gone.rowcount != 1:
        found = find_ref(tx, ref.kind, ref.name)
        raise HeadMoved(branch=ref.name, expected=ref.commit, found=found.commit if found else None)
    _log_move(tx, RefMove(ref.kind, ref.name, ref.commit, None, now_ms, by))


def list_moves(tx: Tx, kind: RefKind, name: str, *, limit: int) -> list[RefMove]:
    """Where the branch or tag of that name has been, the latest move first."""
    mine = (_ref_log.c.kind == kind) & (_ref_log.c.name == name)
    query = select(*_MOVE).where(mine).order_by(_ref_log.c.number.desc()).limit(limit)
    return [RefMove(*row) for row in tx.execute(query)]


def recent_ref_targets(tx: Tx, since_ms: int) -> set[Digest]:
    """Commits that a ref was moved from or to at that time or later, gone refs included."""
    query = select(_ref_log.c.old, _ref_log.c.new).where(_ref_log.c.at_ms >= since_ms)
    return {Digest(one) for row in tx.execute(query) for one in row if one is not None}


def note_split_keys(tx: Tx, pairs: Iterable[tuple[str, SampleId]]) -> None:
    """Remember that these samples have these split keys in some commit."""
    for some in _chunks(sorted((_key_hash(key), sample_key(one)) for key, one in pairs)):
        _insert_new(tx, _split_keys, [{"key_hash": key, "sample": one} for key, one in some])


def samples_with_keys(tx: Tx, split_keys: Collection[str]) -> list[SampleId]:
    """Every sample that had one of these split keys in any commit, and perhaps a few others."""
    found: list[SampleId] = []
    for some in _chunks({_key_hash(key) for key in split_keys}):
        query = select(_split_keys.c.sample).where(_split_keys.c.key_hash.in_(some))
        found += [sample_of_key(SampleKey(key)) for key in tx.scalars(query)]
    return found


_MOVE = tuple(column for column in _ref_log.columns if column.name != "number")


def _log_move(tx: Tx, move: RefMove) -> None:
    tx.execute(insert(_ref_log).values(msgspec.structs.asdict(move)))


def _is_at(kind: RefKind, name: str, commit: Digest) -> ColumnElement[bool]:
    return (_refs.c.kind == kind) & (_refs.c.name == name) & (_refs.c.commit_digest == commit)


class _RowImage(msgspec.Struct):
    """Of a row, what tells whose it is."""

    id: SampleId
    image: Digest


_ROW_IMAGES = msgspec.json.Decoder(_RowImage)


def _without_erased(tx: Tx, objects: list[StoredObject]) -> list[StoredObject]:
    if not has_tombstones(tx):
        return objects
    rows = {one.key: _ROW_IMAGES.decode(one.content) for one in objects if one.kind == "row"}
    erased = find_tombstones(tx, {row.image for row in rows.values()})
    gone = {key: row for key, row in rows.items() if row.image in erased}
    write_tombstones(
        tx, [_tombstone_like(erased[row.image], key, row) for key, row in gone.items()]
    )
    return [one for one in objects if one.key not in gone]


def _tombstone_like(image: Tombstone, key: ObjectKey, row: _RowImage) -> Tombstone:
    return msgspec.structs.replace(image, digest=digest_of_key(key), kind="row", sample=row.id)


def _read_present(tx: Tx, keys: Collection[ObjectKey]) -> dict[ObjectKey, bytes]:
    found: dict[ObjectKey, bytes] = {}
    for some in _chunks(keys):
        query = select(_objects.c.digest, _objects.c.content).where(_objects.c.digest.in_(some))
        for key, content in tx.execute(query):
            if hashlib.sha256(content).digest() != key:
                raise ObjectDamaged(digest=digest_of_key(ObjectKey(key)))
            found[ObjectKey(key)] = content
    return found


def _key_hash(split_key: str) -> bytes:
    return hashlib.sha256(split_key.encode()).digest()[:8]


def _insert_new(tx: Tx, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    if not rows:
        return
    if tx.dialect.name == "postgresql":
        tx.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)
    else:
        tx.execute(insert(table).prefix_with("OR IGNORE"), rows)


def _chunks(values: Iterable[_T]) -> Iterator[list[_T]]:
    remaining = iter(values)
    while chunk := list(islice(remaining, _PER_STATEMENT)):
        yield chunk
