"""Logged models by what they are, were given and were measured: filtered, sorted, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import and_, exists, func, not_, or_, select, true

from sightloop.kernel.database import Tx
from sightloop.kernel.digests import digest_of_record
from sightloop.tracking.conditions import (
    Column,
    Page,
    SortKey,
    beyond,
    compare,
    decode_token,
    encode_token,
    kinds_of,
    missing_rank,
)
from sightloop.tracking.errors import BadFilter, TooMuch
from sightloop.tracking.filters import LOGGED_MODELS, MAX_ORDER_TERMS, Comparison, parse_filter
from sightloop.tracking.logged_models import (
    LoggedModelWithFacts,
    logged_models,
    model_params,
    model_points,
    model_tags,
    with_model_facts,
)


class OnDataset(NamedTuple):
    """Points measured on this data set alone count; an empty digest means any."""

    name: str
    digest: str = ""


class ModelOrder(NamedTuple):
    """One term of an order: an attribute, or `metrics.` and a key."""

    field: str
    ascending: bool = True
    dataset: OnDataset | None = None


class FoundModels(NamedTuple):
    """A page of logged models; the token asks for the next and is empty after the last."""

    models: list[LoggedModelWithFacts]
    next_token: str


def search_models(
    tx: Tx,
    *,
    experiment_ids: Sequence[int],
    filter_text: str = "",
    datasets: Sequence[OnDataset] = (),
    order_by: Sequence[ModelOrder] = (),
    limit: int = 50,
    token: str = "",
) -> FoundModels:
    """The logged models of these experiments that fit and are not deleted, newest first.

    Args:
        tx: a reading transaction.
        experiment_ids: whose models; none means no model.
        filter_text: see `filters`.
        datasets: when given, conditions on metrics look at points measured on one of them, and
            a model without such a point does not fit.
        order_by: instead of newest first; what is missing comes last.
        limit: at most so many.
        token: of the page before.

    Raises:
        BadFilter: the filter or the order cannot be read.
        TooMuch: the order has too many terms.
        BadPageToken: the token is none, or was made for another order.
    """
    order = digest_of_record([list(map(str, one)) for one in order_by])[7:19]
    if len(order_by) > MAX_ORDER_TERMS:
        raise TooMuch(what="the order", n=len(order_by), limit=MAX_ORDER_TERMS, unit="terms")
    keys = _keys(order_by)
    after = decode_token(token, order=order, kinds=kinds_of(keys))
    query = select(logged_models.c.id).where(
        logged_models.c.experiment.in_(experiment_ids) & ~logged_models.c.is_deleted
    )
    conditions = parse_filter(filter_text, LOGGED_MODELS)
    for one in conditions:
        query = query.where(_condition(tx, one, datasets))
    if datasets and not any(one.entity == "metric" for one in conditions):
        mine = model_points.c.model == logged_models.c.id
        query = query.where(exists().where(mine, _measured_on(datasets)))
    query = query.add_columns(*(key.expression.label(f"k{at}") for at, key in enumerate(keys)))
    if after is not None:
        query = query.where(beyond(keys, after))
    query = query.order_by(
        *(key.expression.asc() if key.ascending else key.expression.desc() for key in keys)
    )
    rows = tx.execute(query.limit(limit + 1)).all()
    page = rows[:limit]
    next_token = ""
    if len(rows) > limit:
        next_token = encode_token(Page(list(page[-1][1:]), order))
    return FoundModels(with_model_facts(tx, [row[0] for row in page]), next_token)


def _condition(tx: Tx, one: Comparison, datasets: Sequence[OnDataset]) -> Column:
    if one.entity == "attribute":
        return compare(tx, _ATTRIBUTES[one.key], one)
    if one.entity == "metric":
        mine = and_(
            model_points.c.model == logged_models.c.id,
            model_points.c.key == one.key,
            not_(model_points.c.is_nan),
        )
        return exists().where(mine, _measured_on(datasets), compare(tx, model_points.c.value, one))
    table = model_params if one.entity == "param" else model_tags
    mine = and_(table.c.model == logged_models.c.id, table.c.key == one.key)
    if one.operator == "IS NULL":
        return not_(exists().where(mine))
    return exists().where(mine, compare(tx, table.c.value, one))


def _measured_on(datasets: Sequence[OnDataset]) -> Column:
    if not datasets:
        return true()
    return or_(
        *(
            and_(
                model_points.c.dataset_name == one.name,
                model_points.c.dataset_digest == one.digest if one.digest else true(),
            )
            for one in datasets
        )
    )


_ATTRIBUTES: dict[str, Column] = {
    "name": logged_models.c.name,
    "model_id": logged_models.c.id,
    "model_type": logged_models.c.model_type,
    "status": func.upper(logged_models.c.status),
    "source_run_id": logged_models.c.source_run,
    "experiment_id": logged_models.c.experiment,
    "creation_timestamp": logged_models.c.created_at_ms,
    "last_updated_timestamp": logged_models.c.updated_at_ms,
}
_SAME = {
    "creation_time": "creation_timestamp",
    "creation_timestamp_ms": "creation_timestamp",
    "last_updated_time": "last_updated_timestamp",
    "last_updated_timestamp_ms": "last_updated_timestamp",
}


def _keys(order_by: Sequence[ModelOrder]) -> list[SortKey]:
    keys: list[SortKey] = []
    named = set()
    for one in order_by:
        field = _SAME.get(one.field, one.field)
        named.add(field)
        if field in _ATTRIBUTES:
            keys.append(SortKey(_ATTRIBUTES[field], one.ascending))
        else:
            keys += _metric_keys(one)
    if "creation_timestamp" not in named:
        keys.append(SortKey(logged_models.c.created_at_ms, False))
    return [*keys, SortKey(logged_models.c.id, True)]


def _metric_keys(one: ModelOrder) -> list[SortKey]:
    entity, _, key = one.field.partition(".")
    if entity != "metrics" or not key:
        known = ", ".join([*_ATTRIBUTES, "metrics.KEY"])
        raise BadFilter(text=one.field, at=0, problem=f"one can sort by {known}")
    mine = and_(
        model_points.c.model == logged_models.c.id,
        model_points.c.key == key.strip('`"'),
        _measured_on([one.dataset] if one.dataset else []),
    )
    newest = (model_points.c.at_ms.desc(), model_points.c.step.desc())
    value = select(model_points.c.value).where(mine).order_by(*newest).limit(1).scalar_subquery()
    is_nan = select(model_points.c.is_nan).where(mine).order_by(*newest).limit(1).scalar_subquery()
    return [
        SortKey(missing_rank(value, is_nan), True),
        SortKey(func.coalesce(value, 0.0), one.ascending),
    ]
