"""YAML as text, and where in it a value stands. Pure.

Anchors are refused: a short text could unfold into a huge one. So is a key that comes twice, of
which the loader would keep one in silence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

MAX_CHARS = 100_000
MAX_DEPTH = 20

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """What cannot be meant: the place in the declaration, the value there, and why."""

    path: Path
    value: object
    why: str
    line: int | None = None


class _Loader(yaml.CSafeLoader):
    """Reads `1e-4` as the number everybody means; YAML 1.1 wants a dot in it."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+"),
    "-+0123456789",
)


def read_yaml(text: str) -> tuple[Any, Problem | None]:
    """The value that the text says, and what is wrong with the text, if anything is.

    >>> read_yaml("lr: 1e-4")
    ({'lr': 0.0001}, None)
    """
    problem = _unfit(text)
    if problem is None:
        try:
            root = yaml.compose(text, Loader=_Loader)
            problem = None if root is None else _first_doubled(root, ())
            if problem is None:
                return yaml.load(text, Loader=_Loader), None  # noqa: S506 - a safe loader
        except (yaml.YAMLError, ValueError) as error:
            problem = _no_yaml(error)
    return None, problem


def line_of(text: str, path: Path) -> int | None:
    r"""The line (from 1) of the value at the path, or of the last part of it that is there.

    >>> line_of("space:\n  lr0:\n    low: 3", ("space", "lr0", "high"))
    2
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        return None
    line = None
    for part in path:
        found = _inner(node, part)
        if found is None:
            break
        key, node = found
        line = key.start_mark.line + 1
    return line


def name_of(path: Path) -> str:
    """The path as people write it.

    >>> name_of(("objectives", 0, "metric"))
    'objectives[0].metric'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def value_at(values: Any, path: Sequence[str | int]) -> Any:  # noqa: ANN401 - anything YAML says
    """What stands at the path; None where nothing does."""
    for part in path:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
    return values


def _unfit(text: str) -> Problem | None:
    if len(text) > MAX_CHARS:
        return Problem((), len(text), f"it has {len(text)} characters; {MAX_CHARS} are the most")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):  # reads on without recursion
            line = event.start_mark.line + 1 if event.start_mark else None
            if isinstance(event, yaml.AliasEvent):
                return Problem((), f"*{event.anchor}", "aliases are not read; repeat it", line)
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                return Problem((), "", f"it is nested more than {MAX_DEPTH} deep", line)
    except yaml.YAMLError as error:
        return _no_yaml(error)
    return None


def _no_yaml(error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error)
    return Problem((), "", f"it is not YAML: {what}", None if mark is None else mark.line + 1)


def _first_doubled(node: yaml.Node, path: Path) -> Problem | None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            here = (*path, str(key.value))
            if str(key.value) in seen:
                return Problem(here, key.value, "the key comes twice", key.start_mark.line + 1)
            seen.add(str(key.value))
            if found := _first_doubled(value, here):
                return found
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            if found := _first_doubled(value, (*path, index)):
                return found
    return None


def _inner(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((k, v) for k, v in node.value if k.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
