"""The language in which runs are searched and sorted: MLflow's, as its clients write it. Pure.

A filter is comparisons joined by AND: `metrics.ap > 0.5 and tags.line = 'a'`. Keys with odd
characters stand in backticks or double quotes, texts in single (or double) quotes.

Source: MLflow's documentation of `search_runs`, `search_model_versions` and their siblings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, NoReturn

from sightloop.tracking.errors import BadFilter

Entity = Literal["metric", "param", "tag", "attribute", "dataset"]
Operator = Literal[
    "=", "!=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"
]
Value = str | float | tuple[str, ...] | None

MAX_FILTER_CHARACTERS = 10_000
MAX_ORDER_TERMS = 10
"""Each is a join, of which databases take some dozens, and makes finding the next page slower."""


class Comparison(NamedTuple):
    """One condition; `value` is a number for numeric fields, else text, texts or nothing."""

    entity: Entity
    key: str
    operator: Operator
    value: Value


class Sorting(NamedTuple):
    """One term of an order."""

    entity: Entity
    key: str
    ascending: bool


class Language(NamedTuple):
    """What may be asked for of one kind of thing."""

    attributes: Mapping[str, Literal["text", "number", "listed"]]
    """By name: compared as text, as a number, or as text that may also be IN a list."""
    aliases: Mapping[str, str]
    """Other names of attributes."""
    entities: Mapping[str, Entity]
    """Prefixes, and what they mean."""
    sortable: frozenset[Entity]


RUNS = Language(
    attributes={
        "run_id": "listed",
        "run_name": "listed",
        "user_id": "listed",
        "status": "listed",
        "artifact_uri": "listed",
        "start_time": "number",
        "end_time": "number",
    },
    aliases={
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
        "created": "start_time",
        "Created": "start_time",
    },
    entities={
        "metrics": "metric",
        "metric": "metric",
        "params": "param",
        "param": "param",
        "parameters": "param",
        "parameter": "param",
        "tags": "tag",
        "tag": "tag",
        "attributes": "attribute",
        "attribute": "attribute",
        "attr": "attribute",
        "run": "attribute",
        "datasets": "dataset",
        "dataset": "dataset",
    },
    sortable=frozenset({"metric", "param", "tag", "attribute", "dataset"}),
)
EXPERIMENTS = Language(
    attributes={"name": "text", "creation_time": "number", "last_update_time": "number"},
    aliases={},
    entities={
        "attributes": "attribute",
        "attribute": "attribute",
        "attr": "attribute",
        "tags": "tag",
        "tag": "tag",
    },
    sortable=frozenset({"attribute"}),
)
REGISTERED_MODELS = Language(
    attributes={"name": "text"},
    aliases={},
    entities={"attribute": "attribute", "attributes": "attribute", "tags": "tag", "tag": "tag"},
    sortable=frozenset({"attribute"}),
)
MODEL_VERSIONS = Language(
    attributes={
        "name": "text",
        "run_id": "listed",
        "source_path": "text",
        "version_number": "number",
    },
    aliases={},
    entities=REGISTERED_MODELS.entities,
    sortable=frozenset({"attribute"}),
)
MODEL_ORDERS = Language(
    attributes={
        "name": "text",
        "creation_timestamp": "number",
        "last_updated_timestamp": "number",
    },
    aliases={"timestamp": "last_updated_timestamp"},
    entities={"attribute": "attribute", "attributes": "attribute"},
    sortable=frozenset({"attribute"}),
)
"""What registered models are sorted by."""
VERSION_ORDERS = Language(
    attributes={**MODEL_ORDERS.attributes, "version_number": "number"},
    aliases={"version": "version_number"},
    entities=MODEL_ORDERS.entities,
    sortable=frozenset({"attribute"}),
)
"""What versions of models are sorted by."""
LOGGED_MODELS = Language(
    attributes={
        "name": "listed",
        "model_id": "listed",
        "model_type": "listed",
        "status": "listed",
        "source_run_id": "listed",
        "creation_timestamp": "number",
        "creation_time": "number",
        "last_updated_timestamp": "number",
        "last_updated_time": "number",
    },
    aliases={"creation_time": "creation_timestamp", "last_updated_time": "last_updated_timestamp"},
    entities={name: meaning for name, meaning in RUNS.entities.items() if meaning != "dataset"},
    sortable=frozenset({"metric", "attribute"}),
)


def parse_filter(text: str, language: Language) -> list[Comparison]:
    """The conditions of a filter; none of an empty one.

    Raises:
        BadFilter: it cannot be read; the error says at which character, and what may stand there.

    >>> parse_filter("metrics.ap >= 0.5 and tags.`a b` = 'x'", RUNS)[1]
    Comparison(entity='tag', key='a b', operator='=', value='x')
    """
    if len(text) > MAX_FILTER_CHARACTERS:
        raise BadFilter(text=text, at=MAX_FILTER_CHARACTERS, problem="it is too long")
    tokens = _Tokens(text)
    found: list[Comparison] = []
    while not tokens.at_end():
        if found and tokens.word().upper() != "AND":
            tokens.fail("conditions are joined by AND alone")
        found.append(_comparison(tokens, language))
    return found


def parse_order(terms: Sequence[str], language: Language) -> list[Sorting]:
    """The terms of an order, such as `metrics.ap DESC`.

    Raises:
        BadFilter: a term cannot be read, or names something that cannot be sorted by.
    """
    if len(terms) > MAX_ORDER_TERMS:
        problem = f"one sorts by at most {MAX_ORDER_TERMS} terms, not by {len(terms)}"
        raise BadFilter(text=terms[MAX_ORDER_TERMS], at=0, problem=problem)
    found = []
    for term in terms:
        tokens = _Tokens(term)
        entity, key = _field(tokens, language)
        if entity not in language.sortable:
            tokens.fail(f"one cannot sort by {entity}s here")
        word = "ASC" if tokens.at_end() else tokens.word().upper()
        if word not in ("ASC", "DESC") or not tokens.at_end():
            tokens.fail("only ASC or DESC may follow")
        found.append(Sorting(entity, key, word == "ASC"))
    return found


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>`[^`]*`|"[^"]*"|'(?:[^'\\]|\\.)*')
      | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
      | (?P<operator>!=|>=|<=|=|>|<)
      | (?P<mark>[.,()])
      | (?P<word>[\w\-/@]+)
    )""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Tokens:
    """Reads a text piece by piece and knows where it is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.here = 0
        """How many characters have been read."""

    def at_end(self) -> bool:
        return not self._text[self.here :].strip()

    def take(self) -> _Token:
        token = self._peek()
        self.here = token.end
        return token

    def word(self) -> str:
        token = self.take()
        if token.kind != "word":
            self.fail(f"a word is expected, not {token.text!r}", at=token.start)
        return token.text

    def key(self) -> str:
        """A name, quoted or not; numbers may be names too."""
        token = self.take()
        if token.kind == "quoted" and token.text[0] in '`"':
            return token.text[1:-1]
        if token.kind not in ("word", "number"):
            self.fail(f"a name is expected, not {token.text!r}", at=token.start)
        return token.text

    def quoted(self) -> str:
        token = self.take()
        if token.kind != "quoted" or token.text[0] == "`":
            self.fail(f"a text in quotes is expected, not {token.text!r}", at=token.start)
        return re.sub(r"\\(.)", r"\1", token.text[1:-1])

    def take_mark(self, mark: str) -> bool:
        if self.at_end() or self._peek().text != mark:
            return False
        self.take()
        return True

    def fail(self, problem: str, *, at: int | None = None) -> NoReturn:
        raise BadFilter(text=self._text, at=self.here if at is None else at, problem=problem)

    def _peek(self) -> _Token:
        match = _TOKEN.match(self._text, self.here)
        if match is None or match.lastgroup is None:
            self.fail("it ends too early" if self.at_end() else "nothing can begin like this")
        kind = match.lastgroup
        return _Token(kind, match[kind], match.start(kind), match.end())


def _comparison(tokens: _Tokens, language: Language) -> Comparison:
    entity, key = _field(tokens, language)
    kind = _kind(entity, key, language)
    start = tokens.here
    operator = _operator(tokens)
    if operator not in _ALLOWED[kind]:
        names = ", ".join(sorted(_ALLOWED[kind]))
        tokens.fail(f"{operator} does not go with {entity} {key!r}; use one of {names}", at=start)
    return Comparison(entity, key, operator, _value(tokens, operator, kind))


_Kind = Literal["number", "text", "listed", "optional"]
_ALLOWED: Mapping[_Kind, frozenset[Operator]] = {
    "number": frozenset({"=", "!=", ">", ">=", "<", "<="}),
    "text": frozenset({"=", "!=", "LIKE", "ILIKE"}),
    "listed": frozenset({"=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"}),
    "optional": frozenset({"=", "!=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL"}),
}


def _kind(entity: Entity, key: str, language: Language) -> _Kind:
    if entity == "metric":
        return "number"
    if entity == "dataset":
        return "listed"
    return language.attributes[key] if entity == "attribute" else "optional"


def _field(tokens: _Tokens, language: Language) -> tuple[Entity, str]:
    """What a condition or a term is about: `entity.key`, or the name of an attribute alone."""
    start = tokens.here
    first = tokens.key()
    if not tokens.take_mark("."):
        return "attribute", _attribute(tokens, first, language, at=start)
    entity = language.entities.get(first)
    if entity is None:
        known = ", ".join(sorted(set(language.entities)))
        tokens.fail(f"there is no {first!r} to ask for; use one of {known}", at=start)
    key = tokens.key()
    while tokens.take_mark("."):  # names such as metrics.val.loss may go unquoted
        key = f"{key}.{tokens.key()}"
    if entity == "attribute":
        return entity, _attribute(tokens, key, language, at=start)
    if entity == "dataset" and key not in _DATASET_FIELDS:
        tokens.fail(f"a dataset has {', '.join(_DATASET_FIELDS)}, no {key!r}", at=start)
    return entity, key


_DATASET_FIELDS = ("name", "digest", "context")


def _attribute(tokens: _Tokens, name: str, language: Language, *, at: int) -> str:
    known = language.aliases.get(name, name)
    if known not in language.attributes:
        names = ", ".join(sorted(language.attributes))
        tokens.fail(f"there is no attribute {name!r}; use one of {names}", at=at)
    return known


def _operator(tokens: _Tokens) -> Operator:
    start = tokens.here
    token = tokens.take()
    text = token.text.upper()
    if text == "NOT":
        text = f"NOT {tokens.word().upper()}"
    elif text == "IS":
        text = f"IS {tokens.word().upper()}"
        if text == "IS NOT":
            text = f"IS NOT {tokens.word().upper()}"
    operator = _OPERATORS.get(text)
    if operator is None:
        tokens.fail(f"{token.text!r} compares nothing", at=start)
    return operator


_OPERATORS: Mapping[str, Operator] = {
    operator: operator for operators in _ALLOWED.values() for operator in operators
}


def _value(tokens: _Tokens, operator: Operator, kind: _Kind) -> Value:
    if operator in ("IS NULL", "IS NOT NULL"):
        return None
    if operator in ("IN", "NOT IN"):
        return _list(tokens)
    if kind == "number":
        token = tokens.take()
        if token.kind != "number":
            tokens.fail(f"a number is expected, not {token.text!r}", at=token.start)
        return float(token.text)
    return tokens.quoted()


def _list(tokens: _Tokens) -> tuple[str, ...]:
    if not tokens.take_mark("("):
        tokens.fail("a list in parentheses is expected")
    values = [tokens.quoted()]
    while tokens.take_mark(","):
        values.append(tokens.quoted())
    if not tokens.take_mark(")"):
        tokens.fail("the list is not closed")
    return tuple(values)
