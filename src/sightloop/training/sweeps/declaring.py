"""From `sweep.yaml` and flags to a sweep that can be started, or to one error with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from sightloop.training.sweeps.checking import first_problem
from sightloop.training.sweeps.errors import BadSweep
from sightloop.training.sweeps.places import (
    Path,
    Problem,
    line_of,
    name_of,
    read_yaml,
    value_at,
)
from sightloop.training.sweeps.spec import Range, SweepSpec

_PLACE = re.compile(r" - at `\$([^`]*)`$")
_PART = re.compile(r"\.([^.\[\]]+)|\[(\.\.\.|\d+)\]")
_FIELD = re.compile(r"unknown field `([^`]+)`")
MERGED = ("space", "fixed")
"""Of these, flags add to what the file says; everything else they replace."""


def declare_sweep(text: str, *, where: str, flags: Mapping[str, Any]) -> SweepSpec:
    """The sweep that the text declares, with the flags over it.

    Args:
        text: YAML; may be empty where flags say everything.
        where: what the text is called in errors.
        flags: values as `sweep.yaml` would have them, by the name of the field.

    Raises:
        BadSweep: names the place, the field, the value and why it cannot be meant.
    """
    values, problem = read_yaml(text)
    if problem is None and not isinstance(values, dict | None):
        problem = Problem((), values, "a sweep is a mapping of names to values")
    if problem is not None:
        raise _refusal(problem, text=text, where=where, flags={})
    merged = _merged(values or {}, flags)
    spec = _convert(merged)
    found = spec if isinstance(spec, Problem) else first_problem(spec)
    if found is not None:
        raise _refusal(found, text=text, where=where, flags=flags)
    assert isinstance(spec, SweepSpec), "problems were raised"
    return spec


def _merged(values: dict[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**values, **flags}
    for name in MERGED:
        below, above = values.get(name), flags.get(name)
        if isinstance(below, dict) and isinstance(above, dict):
            merged[name] = {**below, **above}
    return merged


def _convert(values: dict[str, Any]) -> SweepSpec | Problem:
    """The sweep. Each range is converted by itself: the decoder does not say which one is wrong."""
    space = values.get("space", {})
    if not isinstance(space, dict):
        return Problem(("space",), space, "it must be a mapping of names to ranges")
    ranges: dict[str, Range] = {}
    for name, given in space.items():
        try:
            ranges[str(name)] = msgspec.convert(given, Range)
        except msgspec.ValidationError as error:
            return _located(error, given, prefix=("space", str(name)))
    plain = {str(key): value for key, value in values.items() if key != "space"}
    try:
        spec = msgspec.convert(plain, SweepSpec)
    except msgspec.ValidationError as error:
        return _located(error, plain, prefix=())
    return msgspec.structs.replace(spec, space=ranges)


def _located(error: msgspec.ValidationError, values: Any, *, prefix: Path) -> Problem:  # noqa: ANN401
    text = str(error)
    place = _PLACE.search(text)
    path: Path = ()
    for name, index in _PART.findall(place[1] if place else ""):
        if index == "...":
            break  # the decoder does not say which key of a mapping
        path += (int(index) if index else name,)
    why = _PLACE.sub("", text)
    if field := _FIELD.search(text):
        path += (field[1],)
        why = "there is no such field"
    return Problem((*prefix, *path), value_at(values, path), why[:1].lower() + why[1:])


def _refusal(problem: Problem, *, text: str, where: str, flags: Mapping[str, Any]) -> BadSweep:
    top = problem.path[:1]
    is_flag = bool(top) and top[0] in flags and value_at(flags, problem.path[:2]) is not None
    line = problem.line
    if line is None and problem.path and not is_flag:  # without a path it may be no YAML at all
        line = line_of(text, problem.path)
    return BadSweep(
        field=name_of(problem.path),
        value="" if problem.value is None else str(problem.value),
        problem=problem.why,
        where="the command's options" if is_flag else where,
        line=line,
    )
