"""The tables of models, versions, verdicts, approvals and aliases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from sightloop.contracts.bundle import BundleFile
from sightloop.evaluation.gate import Verdict
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotFound
from sightloop.registry import foreign
from sightloop.registry.values import (
    Alias,
    Approval,
    ModelName,
    ModelVersion,
    PublicKey,
    VerdictId,
    VerdictRecord,
    parse_reference,
)

_models = Table(
    "models",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner_key_id", Text),
    Column("owner_public_pem", Text),
    Column("created_at_ms", BigInteger, nullable=False),
)
_versions = Table(
    "model_versions",
    metadata,
    Column("model", ForeignKey("models.name"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("dataset_commit", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("signed_at_ms", BigInteger),
    Column("revoked_at_ms", BigInteger),
    Column("revoked_reason", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("model", "number"),
    Index("model_versions_by_bundle", "bundle"),
)
# One run and one dataset commit give a model one version, however often they are packaged.
Index(
    "model_versions_by_run",
    _versions.c.model,
    _versions.c.run,
    func.coalesce(_versions.c.dataset_commit, ""),
    unique=True,
)
_files = Table(
    "bundle_files",
    metadata,
    Column("bundle", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("bundle", "name"),
    Index("bundle_files_by_digest", "digest"),
)
_verdicts = Table(
    "verdicts",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("champion", Integer),
    Column("verdict", Text, nullable=False),
    Column("evaluation", Text, nullable=False),
    Column("champion_evaluation", Text),
    Column("decided_at_ms", BigInteger, nullable=False),
    ForeignKeyConstraint(["model", "number"], ["model_versions.model", "model_versions.number"]),
    Index("verdicts_by_version", "model", "number", "sequence"),
)
_approvals = Table(
    "approvals",
    metadata,
    Column("model", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("decision", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("model", "number"),
    ForeignKeyConstraint(["model", "number"], ["model_versions.model", "model_versions.number"]),
)
# An alias may point at a version of either kind, so no foreign key can say where.
_aliases = Table(
    "model_aliases",
    metadata,
    Column("model", ForeignKey("models.name"), nullable=False),
    Column("alias", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("moved_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("model", "alias"),
)


def add_version(
    tx: Tx,
    *,
    model: ModelName,
    bundle: Digest,
    files: Iterable[BundleFile],
    run: str,
    dataset_commit: Digest | None,
    now_ms: int,
) -> ModelVersion:
    """Record the next version of the model, and the model itself with its first one."""
    add_model(tx, model, now_ms=now_ms)
    foreign.note(tx, model, now_ms=now_ms)
    version = ModelVersion(
        model=model,
        number=next_number(tx, model),
        bundle=bundle,
        run=run,
        dataset_commit=dataset_commit,
        created_at_ms=now_ms,
    )
    tx.execute(insert(_versions).values(msgspec.structs.asdict(version)))
    if tx.execute(select(_files.c.bundle).where(_files.c.bundle == bundle)).first() is None:
        rows = [{"bundle": bundle, **msgspec.structs.asdict(file)} for file in files]
        tx.execute(insert(_files), rows)
    return version


def add_model(tx: Tx, model: ModelName, *, now_ms: int) -> bool:
    """Record the model; False when it was there."""
    if tx.execute(select(_models.c.name).where(_models.c.name == model)).first() is not None:
        return False
    tx.execute(insert(_models).values(name=model, created_at_ms=now_ms))
    return True


def remove_model(tx: Tx, model: str) -> None:
    """Forget a model that has neither versions nor aliases."""
    tx.execute(delete(_models).where(_models.c.name == model))


def next_number(tx: Tx, model: ModelName) -> int:
    """The number of the model's next version, counting versions of both kinds."""
    # Whoever takes a number holds the model until the end of the transaction.
    tx.execute(select(_models.c.name).where(_models.c.name == model).with_for_update())
    own = tx.execute(select(func.max(_versions.c.number)).where(_versions.c.model == model))
    return max(own.scalar() or 0, foreign.highest_number(tx, model)) + 1


def version_of_run(
    tx: Tx, *, model: ModelName, run: str, dataset_commit: Digest | None
) -> ModelVersion | None:
    """The version this run became, with that commit as what it learned from, if it did."""
    mine = (_versions.c.model == model) & (_versions.c.run == run)
    return _version(tx, mine & _versions.c.dataset_commit.is_not_distinct_from(dataset_commit))


def version_of_bundle(tx: Tx, bundle: Digest) -> ModelVersion | None:
    """The version that is this bundle."""
    return _version(tx, _versions.c.bundle == bundle)


def get_version(tx: Tx, model: str, number: int) -> ModelVersion:
    """That version.

    Raises:
        NotFound: the model has no such version.
    """
    version = _version(tx, (_versions.c.model == model) & (_versions.c.number == number))
    if version is None:
        hint = "see `sightloop models list`"
        if foreign.look_up_foreign(tx, model, number) is not None:
            hint = "that one was registered without a bundle, so nothing can be done with it here"
        raise NotFound(what="model version", name=f"{model}@{number}", hint=hint)
    return version


def find_version(tx: Tx, text: str) -> ModelVersion:
    """The version that `MODEL@NUMBER` or `MODEL@ALIAS` names.

    Raises:
        BadVersionReference: the text has another form.
        NotFound: there is no such version, or the alias points nowhere.
    """
    reference = parse_reference(text)
    if reference.number is not None:
        return get_version(tx, reference.model, reference.number)
    assert reference.alias is not None, "a reference has a number or an alias"
    alias = find_alias(tx, reference.model, reference.alias)
    if alias is None:
        raise NotFound(what="alias", name=text, hint="set it with `sightloop models promote`")
    return get_version(tx, reference.model, alias.number)


def versions_of(
    tx: Tx, model: str, *, before: int | None = None, newest: int | None = None
) -> list[ModelVersion]:
    """The model's versions, oldest first: all, or the `newest` of those numbered below `before`."""
    query = select(_versions).where(_versions.c.model == model)
    if before is not None:
        query = query.where(_versions.c.number < before)
    rows = tx.execute(query.order_by(_versions.c.number.desc()).limit(newest)).mappings()
    return [ModelVersion(**row) for row in rows][::-1]


def model_names(tx: Tx, *, after: str = "", limit: int | None = None) -> list[ModelName]:
    """Models by name: all, or some that follow `after`."""
    query = select(_models.c.name).where(_models.c.name > after).order_by(_models.c.name)
    return [ModelName(name) for name in tx.scalars(query.limit(limit))]


class VersionCount(NamedTuple):
    """How many versions a model has, and the number of the newest."""

    n_versions: int
    newest: int


def count_versions(tx: Tx, models: Sequence[ModelName]) -> dict[ModelName, VersionCount]:
    """Of models that follow one another by name, in one query; none for a model without any."""
    if not models:
        return {}
    query = (
        select(_versions.c.model, func.count(), func.max(_versions.c.number))
        .where(_versions.c.model.between(models[0], models[-1]))
        .group_by(_versions.c.model)
    )
    return {
        ModelName(name): VersionCount(count, newest) for name, count, newest in tx.execute(query)
    }


def aliases_by_model(tx: Tx, models: Sequence[ModelName]) -> dict[ModelName, dict[str, int]]:
    """Where the aliases of models point that follow one another by name."""
    found: dict[ModelName, dict[str, int]] = {}
    if models:
        mine = _aliases.c.model.between(models[0], models[-1])
        query = select(_aliases).where(mine).order_by(_aliases.c.model, _aliases.c.alias)
        for row in tx.execute(query).mappings():
            found.setdefault(ModelName(row["model"]), {})[row["alias"]] = row["number"]
    return found


def newest_verdicts(tx: Tx, models: Sequence[ModelName]) -> dict[ModelName, VerdictRecord]:
    """The latest verdict on the newest version of models that follow one another by name."""
    if not models:
        return {}
    newest = (
        select(_versions.c.model, func.max(_versions.c.number).label("number"))
        .where(_versions.c.model.between(models[0], models[-1]))
        .group_by(_versions.c.model)
        .subquery()
    )
    latest = (
        select(func.max(_verdicts.c.sequence))
        .join(
            newest,
            (_verdicts.c.model == newest.c.model) & (_verdicts.c.number == newest.c.number),
        )
        .group_by(_verdicts.c.model)
    )
    rows = tx.execute(select(_verdicts).where(_verdicts.c.sequence.in_(latest))).mappings()
    return {ModelName(row["model"]): _verdict_of(row) for row in rows}


def mark_signed(tx: Tx, version: ModelVersion, *, now_ms: int) -> bool:
    """Note that the owner vouches for the version; False when that was known."""
    marked = tx.execute(
        update(_versions)
        .where(
            (_versions.c.model == version.model)
            & (_versions.c.number == version.number)
            & _versions.c.signed_at_ms.is_(None)
        )
        .values(signed_at_ms=now_ms)
    )
    return marked.rowcount == 1


def mark_revoked(tx: Tx, version: ModelVersion, *, reason: str, now_ms: int) -> bool:
    """Note that the owner took the version back; False when that was known."""
    marked = tx.execute(
        update(_versions)
        .where(
            (_versions.c.model == version.model)
            & (_versions.c.number == version.number)
            & _versions.c.revoked_at_ms.is_(None)
        )
        .values(revoked_at_ms=now_ms, revoked_reason=reason)
    )
    return marked.rowcount == 1


def files_of(tx: Tx, bundle: Digest) -> list[Digest]:
    """The blobs that the manifest names."""
    query = select(_files.c.digest).where(_files.c.bundle == bundle).order_by(_files.c.name)
    return [Digest(digest) for digest in tx.scalars(query)]


def is_released(tx: Tx, digest: Digest) -> bool:
    """Whether the blob is part of a signed version in good standing: devices get no other."""
    signed = _versions.c.signed_at_ms.is_not(None) & _versions.c.revoked_at_ms.is_(None)
    manifest = select(_versions.c.bundle).where(signed & (_versions.c.bundle == digest))
    file = (
        select(_files.c.bundle)
        .join(_versions, _versions.c.bundle == _files.c.bundle)
        .where(signed & (_files.c.digest == digest))
    )
    return tx.execute(manifest.union_all(file).limit(1)).first() is not None


def add_verdict(tx: Tx, record: VerdictRecord) -> None:
    """Record the verdict; the newest one of a version is the one that counts."""
    values = msgspec.structs.asdict(record)
    values["verdict"] = msgspec.json.encode(record.verdict, order="sorted").decode()
    tx.execute(insert(_verdicts).values(values))


def find_verdict(tx: Tx, verdict: str) -> VerdictRecord | None:
    """The verdict of that id."""
    row = tx.execute(select(_verdicts).where(_verdicts.c.id == verdict)).mappings().first()
    return None if row is None else _verdict_of(row)


def latest_verdict(tx: Tx, model: str, number: int) -> VerdictRecord | None:
    """What was decided last about the version; None when nobody gated it."""
    query = (
        select(_verdicts)
        .where((_verdicts.c.model == model) & (_verdicts.c.number == number))
        .order_by(_verdicts.c.sequence.desc())
        .limit(1)
    )
    row = tx.execute(query).mappings().first()
    return None if row is None else _verdict_of(row)


def add_approval(tx: Tx, approval: Approval) -> None:
    """Record what a person decided; a version is decided about once."""
    tx.execute(insert(_approvals).values(msgspec.structs.asdict(approval)))


def find_approval(tx: Tx, model: str, number: int) -> Approval | None:
    """What a person decided about the version; None when nobody did."""
    mine = (_approvals.c.model == model) & (_approvals.c.number == number)
    row = tx.execute(select(_approvals).where(mine)).mappings().first()
    return None if row is None else Approval(**row)


def find_alias(tx: Tx, model: str, alias: str) -> Alias | None:
    """Where the alias points; None when it points nowhere."""
    mine = (_aliases.c.model == model) & (_aliases.c.alias == alias)
    row = tx.execute(select(_aliases).where(mine)).mappings().first()
    return None if row is None else Alias(**row)


def aliases_of(tx: Tx, model: str) -> list[Alias]:
    """Every alias of the model, by name."""
    rows = tx.execute(
        select(_aliases).where(_aliases.c.model == model).order_by(_aliases.c.alias)
    ).mappings()
    return [Alias(**row) for row in rows]


def aliases_of_models(tx: Tx, models: Sequence[str]) -> list[Alias]:
    """Every alias of these models, at most some hundred, by name."""
    query = select(_aliases).where(_aliases.c.model.in_(models))
    rows = tx.execute(query.order_by(_aliases.c.model, _aliases.c.alias)).mappings()
    return [Alias(**row) for row in rows]


def remove_aliases(
    tx: Tx, model: str, *, alias: str | None = None, number: int | None = None
) -> None:
    """Forget aliases of the model: all, that one, or those that point at the version."""
    mine = _aliases.c.model == model
    if alias is not None:
        mine &= _aliases.c.alias == alias
    if number is not None:
        mine &= _aliases.c.number == number
    tx.execute(delete(_aliases).where(mine))


def hand_over_aliases(tx: Tx, model: str, *, to: str) -> None:
    """Let the model's aliases be those of the model `to`."""
    tx.execute(update(_aliases).where(_aliases.c.model == model).values(model=to))


def model_table() -> Table:
    """Models, for the room's own queries."""
    return _models


def version_table() -> Table:
    """Versions with a bundle, for the room's own queries."""
    return _versions


def put_alias(tx: Tx, alias: Alias) -> None:
    """Point the alias there; who may do so is decided in `aliases`."""
    mine = (_aliases.c.model == alias.model) & (_aliases.c.alias == alias.alias)
    values = msgspec.structs.asdict(alias)
    if tx.execute(update(_aliases).where(mine).values(values)).rowcount == 0:
        tx.execute(insert(_aliases).values(values))


def owner_keys(tx: Tx) -> dict[ModelName, PublicKey]:
    """The owner key of each model that has one."""
    query = select(_models).where(_models.c.owner_key_id.is_not(None)).order_by(_models.c.name)
    return {
        ModelName(row["name"]): PublicKey(row["owner_key_id"], row["owner_public_pem"])
        for row in tx.execute(query).mappings()
    }


def set_owner_key(tx: Tx, model: ModelName, key: PublicKey) -> None:
    """Record the model's owner key; a model has one, and it does not change here."""
    keyless = (_models.c.name == model) & _models.c.owner_key_id.is_(None)
    values = {"owner_key_id": key.id, "owner_public_pem": key.pem}
    changed = tx.execute(update(_models).where(keyless).values(values)).rowcount
    assert changed == 1, f"{model} has an owner key, or is no model"


def replace_owner_key(tx: Tx, model: ModelName, key: PublicKey) -> None:
    """The model's owner signs with another key from now on; the update metadata follows."""
    values = {"owner_key_id": key.id, "owner_public_pem": key.pem}
    tx.execute(update(_models).where(_models.c.name == model).values(values))


def _version(tx: Tx, condition: Any) -> ModelVersion | None:  # noqa: ANN401 - a SQL condition
    row = tx.execute(select(_versions).where(condition)).mappings().first()
    return None if row is None else ModelVersion(**row)


def _verdict_of(row: Any) -> VerdictRecord:  # noqa: ANN401 - a SQLAlchemy row mapping
    return VerdictRecord(
        id=VerdictId(row["id"]),
        model=ModelName(row["model"]),
        number=row["number"],
        champion=row["champion"],
        verdict=msgspec.json.decode(row["verdict"], type=Verdict),
        evaluation=row["evaluation"],
        champion_evaluation=row["champion_evaluation"],
        decided_at_ms=row["decided_at_ms"],
    )
