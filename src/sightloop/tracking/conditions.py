"""From filters and orders to SQL, the same for runs, logged models, experiments and versions.

A thing that lacks what a condition asks for does not fit, also where `!=` is asked. Sorting puts
what is not a number after numbers and what is missing last, whichever way it goes.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, String, and_, case, cast, false, func, literal, or_, true

from sightloop.kernel.database import Tx
from sightloop.kernel.digests import digest_of_record
from sightloop.tracking.errors import BadPageToken
from sightloop.tracking.filters import Comparison, Sorting

_MOST = 2**63 - 1

Column = ColumnElement[Any]
Has = Callable[[Comparison, Callable[[Column], Column]], Column]
"""A condition on a thing: that what the comparison is about exists and passes the test."""


class SortKey(NamedTuple):
    """One thing to sort by; missing values have a rank above 0 and a value that compares."""

    expression: Column
    ascending: bool


class Page(NamedTuple):
    """Where a page begins: after the thing whose sort keys these are."""

    after: list[Any] | None
    order: str
    """A digest of the order, so that a token cannot be used with another."""


def compare(tx: Tx, column: Column, comparison: Comparison) -> Column:
    """Whether the column's value passes."""
    value, operator = comparison.value, comparison.operator
    if operator == "LIKE":
        return _like(tx, column, str(value))
    if operator == "ILIKE":
        return _like_plainly(tx, func.lower(column), func.lower(value))
    if operator in ("IN", "NOT IN"):
        values = value if isinstance(value, tuple) else ()
        return column.in_(values) if operator == "IN" else column.not_in(values)
    simple: dict[str, Callable[[Column], Column]] = {
        "=": lambda other: column == other,
        "!=": lambda other: column != other,
        ">": lambda other: column > other,
        ">=": lambda other: column >= other,
        "<": lambda other: column < other,
        "<=": lambda other: column <= other,
        "IS NULL": lambda _: column.is_(None),
        "IS NOT NULL": lambda _: column.is_not(None),
    }
    return simple[operator](literal(value))


def sort_keys(
    sortings: Sequence[Sorting], column_of: Callable[[Sorting], tuple[Column, Column]]
) -> list[SortKey]:
    """Two keys per sorting: the rank of what is missing, then the value."""
    keys: list[SortKey] = []
    for one in sortings:
        rank, value = column_of(one)
        keys += [SortKey(rank, True), SortKey(value, one.ascending)]
    return keys


def joined(*parts: Column | str) -> Column:
    """The texts one after the other.

    Written with the operator: SQLite has a function for it only since 3.44.
    """
    first, *rest = [literal(one) if isinstance(one, str) else cast(one, String) for one in parts]
    return reduce(lambda so_far, one: so_far.op("||")(one), rest, first)


def missing_rank(value: Column, is_nan: Column | None = None) -> Column:
    """0 for values, 1 for what is not a number, 2 for what is missing."""
    whens: list[tuple[Column, int]] = [(value.is_(None), 2)]
    if is_nan is not None:
        whens.append((is_nan, 1))
    return case(*whens, else_=0)


def beyond(keys: Sequence[SortKey], after: Sequence[Any]) -> Column:
    """Whether a thing comes after the one with these values, in the order of the keys."""
    condition: Column = false()
    equal_so_far: Column = true()
    for key, value in zip(keys, after, strict=True):
        later = key.expression > value if key.ascending else key.expression < value
        condition = or_(condition, and_(equal_so_far, later))
        equal_so_far = and_(equal_so_far, key.expression == value)
    return condition


def order_of(sortings: Sequence[Sorting]) -> str:
    """What identifies an order in page tokens."""
    return digest_of_record([list(one) for one in sortings])[7:19]


def encode_token(page: Page) -> str:
    """The page as opaque text for a client."""
    return base64.urlsafe_b64encode(json.dumps([page.order, page.after]).encode()).decode()


def decode_token(token: str, *, order: str, kinds: Sequence[type]) -> list[Any] | None:
    """Where the page begins; None for the first.

    Args:
        token: as a client gave it back, who may have written anything into it.
        order: what `encode_token` was given.
        kinds: of the values of `after`.

    Raises:
        BadPageToken: it is no token, or one of another order.
    """
    if not token:
        return None
    try:
        given, after = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error, TypeError, RecursionError) as error:
        raise BadPageToken(token=token) from error
    if given != order or not isinstance(after, list) or len(after) != len(kinds):
        raise BadPageToken(token=token)
    if not all(_is_one(value, kind) for value, kind in zip(after, kinds, strict=True)):
        raise BadPageToken(token=token)
    return after


def kinds_of(keys: Sequence[SortKey]) -> list[type]:
    """Of which kind the values of these keys are."""
    return [key.expression.type.python_type for key in keys]


def _is_one(value: object, kind: type) -> bool:
    """Whether the value can be compared with a column of the kind, in every database."""
    if kind is float:
        return type(value) in (int, float) and value == value  # NaN is equal to nothing
    if kind is int:
        return type(value) is int and -_MOST <= value <= _MOST  # True is no number here
    return isinstance(value, kind) and "\0" not in str(value)


def _like(tx: Tx, column: Column, pattern: str) -> Column:
    """LIKE that minds upper and lower case, in both databases."""
    if tx.dialect.name != "sqlite":
        return _like_plainly(tx, column, pattern)
    quoted = re.sub(r"([*?\[])", r"[\1]", pattern)
    return column.op("GLOB")(quoted.replace("%", "*").replace("_", "?"))


def _like_plainly(tx: Tx, column: Column, pattern: object) -> Column:
    """LIKE in which a backslash is a character like any other, as it is in SQLite."""
    return column.like(pattern, escape=None if tx.dialect.name == "sqlite" else "")
