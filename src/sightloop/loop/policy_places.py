"""Where in the text of `loop.yaml` a problem is, and whether the text is fit to be looked at. Pure.

YAML lets a short text unfold into a huge one by naming a part many times, and its loader follows
nested brackets until the process dies; such a text is refused before anything loads it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec
import yaml

MAX_POLICY_CHARS = 200_000
MAX_POLICY_VALUES = 20_000
MAX_POLICY_DEPTH = 40
_PATH = re.compile(r"`\$([^`]*)`")
_FIELD = re.compile(r"(?:unknown|missing required) field `([^`]+)`")
_PART = re.compile(r"\.([^.\[\]]+)|\[(\.\.\.|\d+)\]")


class Found(NamedTuple):
    """A value in the text, and the line (from 1) its key or value stands in."""

    node: yaml.Node
    line: int


def too_much(text: str) -> str:
    """Why the text is too long to be a policy, or `""`.

    >>> too_much("models: {}")
    ''
    """
    if len(text) > MAX_POLICY_CHARS:
        return f"it has {len(text)} characters; {MAX_POLICY_CHARS} are the most"
    if _is_deep(text):
        return f"it is nested more than {MAX_POLICY_DEPTH} deep"
    root = _composed(text)
    if root is not None and _n_values(root, {}) > MAX_POLICY_VALUES:
        return f"it unfolds to more than {MAX_POLICY_VALUES} values"
    return ""


def line_of(text: str, problem: str, *, model: str | None = None) -> int | None:
    """The line (from 1) of the text that a message of the decoder is about; None when unknown.

    The decoder names a place as `$.models[...].keep`; `model` says which one is meant.

    >>> problem = "Object contains unknown field `retrian` - at `$.models[...]`"
    >>> line_of("models: {pcb: {retrian: {}}}", problem)
    1
    """
    root = _composed(text)
    if root is None:
        return None
    path = _PATH.search(problem)
    wanted = [name or index for name, index in _PART.findall(path[1] if path else "")]
    if model is not None and wanted[:2] == ["models", "..."]:
        wanted[1] = model
    found = [Found(root, 1)]
    for part in wanted:
        found = [inner for one in found for inner in _inner(one.node, part)]
    if field := _FIELD.search(problem):
        found = [inner for one in found for inner in _inner(one.node, field[1])] or found
    return found[0].line if found else None


def _is_deep(text: str) -> bool:
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):  # reads on without recursion
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_POLICY_DEPTH:
                    return True
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.YAMLError:
        return False  # not YAML at all, and no deeper than this up to where it ends
    return False


def _composed(text: str) -> yaml.Node | None:
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return None  # the decoder says what is wrong, with the place
    return root


def _inner(node: yaml.Node, part: str) -> list[Found]:
    if isinstance(node, yaml.MappingNode):
        return [
            Found(value, key.start_mark.line + 1)
            for key, value in node.value
            if part in ("...", key.value)
        ]
    if isinstance(node, yaml.SequenceNode):
        return [
            Found(value, value.start_mark.line + 1)
            for index, value in enumerate(node.value)
            if part in ("...", str(index))
        ]
    return []


def _n_values(node: yaml.Node, known: dict[int, int]) -> int:
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MAX_POLICY_VALUES + 1  # what holds itself has no end
    inner = []
    if isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        inner = node.value
    known[id(node)] = 1 + sum(_n_values(part, known) for part in inner)
    return known[id(node)]


def failing_model(values: object, kind: type[msgspec.Struct]) -> str | None:
    """Which entry under `models` is the first that does not fit `kind`."""
    models = values.get("models") if isinstance(values, dict) else None
    if not isinstance(models, dict):
        return None
    for name, entry in models.items():
        try:
            msgspec.convert(entry, kind)
        except msgspec.ValidationError:
            return str(name)
    return None
