"""Models and versions of both kinds, Sightloop's own and foreign ones, as one list.

An own version has a bundle; its source is where its run keeps its files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    Select,
    Subquery,
    and_,
    exists,
    func,
    literal,
    not_,
    null,
    select,
    union_all,
)

from sightloop.kernel.database import Tx
from sightloop.kernel.errors import NotFound
from sightloop.registry import store
from sightloop.registry.foreign import (
    MODEL,
    registered_versions,
    registry_notes,
    registry_tags,
    tags_of_models,
)
from sightloop.registry.store import aliases_of_models
from sightloop.tracking.conditions import (
    Column,
    Page,
    SortKey,
    beyond,
    compare,
    decode_token,
    encode_token,
    joined,
    kinds_of,
    order_of,
)
from sightloop.tracking.filters import (
    MODEL_ORDERS,
    MODEL_VERSIONS,
    REGISTERED_MODELS,
    VERSION_ORDERS,
    Comparison,
    Sorting,
    parse_filter,
    parse_order,
)
from sightloop.tracking.tables import runs

PROMPT_TAG = "mlflow.prompt.is_prompt"
"""Clients keep prompts among models, marked by this tag; searches leave them out unless asked."""
NO_STAGE = "None"
STAGES = (NO_STAGE, "Staging", "Production", "Archived")
_AT_ONCE = 900


class RegisteredVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of either kind."""

    model: str
    number: int
    source: str
    location: str
    """Where its files can be fetched."""
    run: str
    logged_model: str
    run_link: str
    bundle: str | None
    """None for a foreign version."""
    dataset_commit: str | None
    created_at_ms: int
    updated_at_ms: int
    description: str
    stage: str
    tags: dict[str, str] = {}
    aliases: list[str] = []


class RegisteredModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model with the newest version in each stage."""

    name: str
    created_at_ms: int
    updated_at_ms: int
    description: str
    tags: dict[str, str]
    aliases: dict[str, int]
    latest: list[RegisteredVersion]


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which models or versions, in which order; the token is that of the page before."""

    filter: str = ""
    order_by: list[str] = []
    limit: int = 100
    token: str = ""


class FoundVersions(NamedTuple):
    """A page; the token asks for the next and is empty after the last."""

    versions: list[RegisteredVersion]
    next_token: str


class FoundModels(NamedTuple):
    """A page; the token asks for the next and is empty after the last."""

    models: list[RegisteredModel]
    next_token: str


def find_registered(tx: Tx, model: str, number: int) -> RegisteredVersion:
    """That version, of whichever kind.

    Raises:
        NotFound: the model has no such version.
    """
    every = _every_version()
    query = select(every).where((every.c.model == model) & (every.c.number == number))
    found = _versions(tx, query)
    if not found:
        hint = "see `sightloop models list`"
        raise NotFound(what="model version", name=f"{model[:80]}@{number}", hint=hint)
    return found[0]


def find_registered_model(tx: Tx, model: str) -> RegisteredModel:
    """The model of that name.

    Raises:
        NotFound: there is none.
    """
    found = _models(tx, [model])
    if not found:
        hint = "see `sightloop models list`"
        raise NotFound(what="registered model", name=model[:80], hint=hint)
    return found[0]


def search_versions(tx: Tx, wanted: Search) -> FoundVersions:
    """Versions of all models that fit, those changed last first unless an order is given.

    Raises:
        BadFilter: the filter or the order cannot be read.
        BadPageToken: the token is none, or was made for another order.
    """
    every = _every_version()
    columns: dict[str, Column] = {
        "name": every.c.model,
        "version_number": every.c.number,
        "run_id": every.c.run,
        "source_path": every.c.source,
        "creation_timestamp": every.c.created_at_ms,
        "last_updated_timestamp": every.c.updated_at_ms,
    }
    sortings = parse_order(wanted.order_by, VERSION_ORDERS) or [
        Sorting("attribute", "last_updated_timestamp", False)
    ]
    rest = [Sorting("attribute", "name", True), Sorting("attribute", "version_number", False)]
    keys = _keys(columns, sortings, rest)
    query = select(every)
    for one in _without_prompts(parse_filter(wanted.filter, MODEL_VERSIONS)):
        query = query.where(_condition(tx, one, columns, every.c.model, every.c.number))
    rows, next_token = _page(tx, query, keys, order=order_of(sortings), wanted=wanted)
    return FoundVersions(_versions_of(tx, rows), next_token)


def search_models(tx: Tx, wanted: Search) -> FoundModels:
    """Models that fit, by name unless an order is given.

    Raises:
        BadFilter: the filter or the order cannot be read.
        BadPageToken: the token is none, or was made for another order.
    """
    models = _every_model()
    columns: dict[str, Column] = {
        "name": models.c.name,
        "creation_timestamp": models.c.created_at_ms,
        "last_updated_timestamp": models.c.updated_at_ms,
    }
    sortings = parse_order(wanted.order_by, MODEL_ORDERS)
    keys = _keys(columns, sortings, [Sorting("attribute", "name", True)])
    query = select(models.c.name)
    for one in _without_prompts(parse_filter(wanted.filter, REGISTERED_MODELS)):
        query = query.where(_condition(tx, one, columns, models.c.name, literal(MODEL)))
    rows, next_token = _page(tx, query, keys, order=order_of(sortings), wanted=wanted)
    return FoundModels(_models(tx, [row["name"] for row in rows]), next_token)


def find_numbers(tx: Tx, model: str, numbers: Sequence[int]) -> list[RegisteredVersion]:
    """Those versions of the model, oldest first; at most some thousand."""
    every = _every_version()
    found: list[RegisteredVersion] = []
    for at in range(0, len(numbers), _AT_ONCE):
        some = numbers[at : at + _AT_ONCE]
        mine = (every.c.model == model) & every.c.number.in_(some)
        found += _versions(tx, select(every).where(mine).order_by(every.c.number))
    return found


def versions_in(tx: Tx, model: str) -> list[RegisteredVersion]:
    """Every version of the model, oldest first."""
    every = _every_version()
    return _versions(tx, select(every).where(every.c.model == model).order_by(every.c.number))


def newest_by_stage(versions: Iterable[RegisteredVersion]) -> list[RegisteredVersion]:
    """Of versions of one model, oldest first: the newest in each stage."""
    return list({one.stage: one for one in versions}.values())


def _every_version() -> Subquery:
    own, foreign, notes = store.version_table(), registered_versions, registry_notes
    address = joined("mlflow-artifacts:/", runs.c.experiment, "/", runs.c.id, "/artifacts")
    source = func.coalesce(address, "")
    both = union_all(
        select(
            own.c.model,
            own.c.number,
            source.label("source"),
            source.label("location"),
            own.c.run,
            literal("").label("logged_model"),
            literal("").label("run_link"),
            own.c.bundle,
            own.c.dataset_commit,
            own.c.created_at_ms,
        ).select_from(own.outerjoin(runs, runs.c.id == own.c.run)),
        select(
            foreign.c.model,
            foreign.c.number,
            foreign.c.source,
            foreign.c.location,
            foreign.c.run,
            foreign.c.logged_model,
            foreign.c.run_link,
            null(),
            null(),
            foreign.c.created_at_ms,
        ).where(~foreign.c.is_deleted),
    ).subquery()
    mine = and_(notes.c.model == both.c.model, notes.c.number == both.c.number)
    return (
        select(
            both,
            func.coalesce(notes.c.updated_at_ms, both.c.created_at_ms).label("updated_at_ms"),
            func.coalesce(notes.c.description, "").label("description"),
            func.coalesce(func.nullif(notes.c.stage, ""), NO_STAGE).label("stage"),
        )
        .select_from(both.outerjoin(notes, mine))
        .subquery()
    )


def _every_model() -> Subquery:
    models, notes = store.model_table(), registry_notes
    mine = and_(notes.c.model == models.c.name, notes.c.number == MODEL)
    return (
        select(
            models.c.name,
            models.c.created_at_ms,
            func.coalesce(notes.c.updated_at_ms, models.c.created_at_ms).label("updated_at_ms"),
            func.coalesce(notes.c.description, "").label("description"),
        )
        .select_from(models.outerjoin(notes, mine))
        .subquery()
    )


def _versions(tx: Tx, query: Select[Any]) -> list[RegisteredVersion]:
    return _versions_of(tx, [dict(row) for row in tx.execute(query).mappings()])


def _versions_of(tx: Tx, rows: Sequence[dict[str, Any]]) -> list[RegisteredVersion]:
    models = sorted({row["model"] for row in rows})
    tags: dict[tuple[str, int], dict[str, str]] = {}
    aliases: dict[tuple[str, int], list[str]] = {}
    for at in range(0, len(models), _AT_ONCE):
        some = models[at : at + _AT_ONCE]
        tags |= tags_of_models(tx, some)
        for alias in aliases_of_models(tx, some):
            aliases.setdefault((alias.model, alias.number), []).append(alias.alias)
    found = []
    for row in rows:
        place = (row["model"], row["number"])
        found.append(
            RegisteredVersion(
                **{name: row[name] for name in _VERSION_FIELDS},
                tags=tags.get(place, {}),
                aliases=aliases.get(place, []),
            )
        )
    return found


_VERSION_FIELDS = [
    name for name in RegisteredVersion.__struct_fields__ if name not in ("tags", "aliases")
]


def _models(tx: Tx, names: Sequence[str]) -> list[RegisteredModel]:
    every, versions = _every_model(), _every_version()
    found: dict[str, RegisteredModel] = {}
    for at in range(0, len(names), _AT_ONCE):
        some = names[at : at + _AT_ONCE]
        tags = tags_of_models(tx, some)
        latest: dict[str, list[RegisteredVersion]] = {}
        newest = (
            select(versions)
            .where(versions.c.model.in_(some))
            .order_by(versions.c.model, versions.c.number)
        )
        for version in _versions(tx, newest):
            latest.setdefault(version.model, []).append(version)
        aliases: dict[str, dict[str, int]] = {}
        for alias in aliases_of_models(tx, some):
            aliases.setdefault(alias.model, {})[alias.alias] = alias.number
        for row in tx.execute(select(every).where(every.c.name.in_(some))).mappings():
            name = row["name"]
            found[name] = RegisteredModel(
                **row,
                tags=tags.get((name, MODEL), {}),
                aliases=aliases.get(name, {}),
                latest=newest_by_stage(latest.get(name, [])),
            )
    return [found[name] for name in names if name in found]


def _without_prompts(conditions: list[Comparison]) -> list[Comparison]:
    if any(one.entity == "tag" and one.key == PROMPT_TAG for one in conditions):
        return conditions
    return [*conditions, Comparison("tag", PROMPT_TAG, "!=", "true")]


def _condition(
    tx: Tx, one: Comparison, columns: dict[str, Column], model: Column, number: Column
) -> Column:
    if one.entity == "attribute":
        return compare(tx, columns[one.key], one)
    tags = registry_tags
    mine = and_(tags.c.model == model, tags.c.number == number, tags.c.key == one.key)
    if one.key == PROMPT_TAG and one.operator == "!=":
        # What has no such tag is no prompt; elsewhere what lacks a tag does not fit.
        return not_(exists().where(mine, tags.c.value == one.value))
    return exists().where(mine, compare(tx, tags.c.value, one))


def _keys(
    columns: dict[str, Column], sortings: Sequence[Sorting], rest: Sequence[Sorting]
) -> list[SortKey]:
    named = {one.key for one in sortings}
    every = [*sortings, *(one for one in rest if one.key not in named)]
    return [SortKey(columns[one.key], one.ascending) for one in every]


def _page(
    tx: Tx, query: Select[Any], keys: Sequence[SortKey], *, order: str, wanted: Search
) -> tuple[list[dict[str, Any]], str]:
    after = decode_token(wanted.token, order=order, kinds=kinds_of(keys))
    if after is not None:
        query = query.where(beyond(keys, after))
    query = query.add_columns(*(key.expression.label(f"k{at}") for at, key in enumerate(keys)))
    query = query.order_by(
        *(key.expression.asc() if key.ascending else key.expression.desc() for key in keys)
    )
    rows = [dict(row) for row in tx.execute(query.limit(wanted.limit + 1)).mappings()]
    page = rows[: wanted.limit]
    if len(rows) <= wanted.limit:
        return page, ""
    last = [page[-1][f"k{at}"] for at in range(len(keys))]
    return page, encode_token(Page(last, order))
