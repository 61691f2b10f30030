"""What a declaration says that cannot be meant, though each value by itself could. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from sightloop.training.sweeps.places import Problem
from sightloop.training.sweeps.space import MAX_GRID, counts_in, grid_points, is_finite
from sightloop.training.sweeps.spec import (
    LATENCY_MS,
    REQUEST_SETTINGS,
    Categorical,
    FloatRange,
    IntRange,
    Range,
    SweepSpec,
)

MAX_SETTINGS = 50
MAX_CHOICES = 1000
MAX_OBJECTIVES = 4
MAX_NAME_CHARACTERS = 200
_MOST = 2**53
"""Whole numbers up to here are exact wherever a sampler or an engine takes them."""
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_DECIDED = {
    "data": "every trial trains on the same commit",
    "engine": "every trial trains with the same engine",
    "seed": "set the sweep's seed; trials differ by their settings alone",
    "device": "set the sweep's device",
    "name": "trials are named after the sweep",
}
_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("epochs", 1, 100_000),
    ("image_size_px", 32, 8192),
    ("batch_size", 1, 65_536),
    ("trials", 1, 10_000),
    ("time_limit_s", 0, 366 * 86_400),
    ("parallel", 1, 64),
    ("seed", 0, 2**31 - 1),
    ("give_up_after", 1, 10_000),
)
IGNORED_BY_AUTO = {"yolo26": ("lr0", "momentum")}
"""Settings that an engine chooses itself, whatever they are set to, while its optimizer is `auto`.

Ultralytics does so, and `auto` is its default: a sweep over lr0 would train equal models.
"""


def first_problem(spec: SweepSpec) -> Problem | None:
    """The first thing that cannot be meant; None when all of it can."""
    return next(_problems(spec), None)


def _problems(spec: SweepSpec) -> Iterator[Problem]:
    yield from _texts(spec)
    for field, low, high in _BOUNDS:
        value = getattr(spec, field)
        if not low <= value <= high:
            yield Problem((field,), value, f"it must lie between {low:,} and {high:,}")
    yield from _fixed(spec)
    yield from _space(spec)
    yield from _objectives(spec)
    yield from _pruner(spec)
    yield from _grid(spec)
    yield from _ignored(spec)


def _texts(spec: SweepSpec) -> Iterator[Problem]:
    for field in ("name", "data", "engine", "weights", "device"):
        value = getattr(spec, field)
        if not 0 < len(value.strip()) <= MAX_NAME_CHARACTERS:
            yield Problem((field,), value, f"it must have 1 to {MAX_NAME_CHARACTERS} characters")
    if len(spec.experiment) > MAX_NAME_CHARACTERS:
        why = f"it must have at most {MAX_NAME_CHARACTERS} characters"
        yield Problem(("experiment",), spec.experiment, why)


def _fixed(spec: SweepSpec) -> Iterator[Problem]:
    for name, value in spec.fixed.items():
        if name in REQUEST_SETTINGS or name in _DECIDED:
            yield Problem(("fixed", name), value, f"set {name} beside `fixed`, not in it")
        if name in spec.space:
            yield Problem(("fixed", name), value, f"{name} is in the space too; it can be but one")
        if isinstance(value, int | float) and not abs(value) <= _MOST:
            why = "a number must be finite and stay below 2**53"
            yield Problem(("fixed", name), value, why)


def _space(spec: SweepSpec) -> Iterator[Problem]:
    if not 0 < len(spec.space) <= MAX_SETTINGS:
        why = f"a sweep needs 1 to {MAX_SETTINGS} settings to vary; this one has {len(spec.space)}"
        yield Problem(("space",), None, why)
    known: set[str] = set(spec.fixed)
    for name, range_ in spec.space.items():
        path = ("space", name)
        if not _SETTING.fullmatch(name):
            yield Problem(path, name, "a setting's name has letters, digits and _ only")
        if name in _DECIDED:
            yield Problem(path, name, f"it cannot vary: {_DECIDED[name]}")
        for field, value, why in _range(range_):
            yield Problem((*path, field), value, why)
        for field, value, why in _request_setting(name, range_):
            yield Problem((*path, field), value, why)
        for wanted in range_.when:
            if wanted not in known:
                why = f"{wanted!r} is neither fixed nor varied before {name}"
                yield Problem((*path, "when", wanted), range_.when[wanted], why)
        known.add(name)


def _range(range_: Range) -> Iterator[tuple[str, Any, str]]:
    if isinstance(range_, Categorical):
        if not 0 < len(range_.choices) <= MAX_CHOICES:
            n_choices = len(range_.choices)
            yield "choices", n_choices, f"there must be 1 to {MAX_CHOICES} choices"
        for index, one in enumerate(range_.choices):
            if isinstance(one, int | float) and not abs(one) <= _MOST:
                yield "choices", one, "numbers must be finite and stay below 2**53"
            # 1 == True == 1.0: the sampler could not tell them apart either.
            if one in range_.choices[:index]:
                yield "choices", one, "a choice comes twice"
        return
    if not (abs(range_.low) < math.inf and abs(range_.high) < math.inf):
        yield "low", range_.low, "bounds must be finite"
    elif max(abs(range_.low), abs(range_.high)) > _MOST:
        yield "high", range_.high, "bounds must stay below 2**53"
    elif not range_.low < range_.high:
        yield "high", range_.high, f"it must be greater than low, which is {range_.low}"
    elif range_.log and range_.low <= 0:
        yield "low", range_.low, "with `log: true` it must be greater than 0"
    step = range_.step
    if step is not None and not 0 < step <= range_.high - range_.low:
        yield "step", step, "it must be greater than 0 and at most the whole range"
    if range_.log and step not in (None, 1):
        yield "step", step, "with `log: true` there are no steps"


def _request_setting(name: str, range_: Range) -> Iterator[tuple[str, Any, str]]:
    """What varies the training itself must have values that a training can have."""
    if name not in REQUEST_SETTINGS:
        return
    if name == "weights":
        if not isinstance(range_, Categorical) or not all(
            isinstance(c, str) for c in range_.choices
        ):
            yield "type", type(range_).__name__, "weights are a choice of texts"
        return
    low, high = next((low, high) for field, low, high in _BOUNDS if field == name)
    if isinstance(range_, FloatRange):
        yield "type", "float", f"{name} is a whole number; make it an int"
        return
    values = range_.choices if isinstance(range_, Categorical) else [range_.low, range_.high]
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            field = "choices" if isinstance(range_, Categorical) else "low"
            yield field, value, f"{name} is a whole number between {low:,} and {high:,}"


def _objectives(spec: SweepSpec) -> Iterator[Problem]:
    if not 0 < len(spec.objectives) <= MAX_OBJECTIVES:
        why = f"a sweep needs 1 to {MAX_OBJECTIVES} objectives"
        yield Problem(("objectives",), len(spec.objectives), why)
    names = [one.metric for one in spec.objectives]
    for index, one in enumerate(spec.objectives):
        path = ("objectives", index, "metric")
        if not 0 < len(one.metric) <= MAX_NAME_CHARACTERS:
            yield Problem(path, one.metric, f"it must have 1 to {MAX_NAME_CHARACTERS} characters")
        if one.metric in names[:index]:
            yield Problem(path, one.metric, "the metric comes twice")
        if one.metric == LATENCY_MS and one.direction == "maximize":
            yield Problem((*path[:2], "direction"), one.direction, "latency is to be minimized")


def _pruner(spec: SweepSpec) -> Iterator[Problem]:
    pruner = spec.pruner
    if not 1 <= pruner.min_epochs <= 100_000:
        yield Problem(("pruner", "min_epochs"), pruner.min_epochs, "it must be at least 1")
    if not 2 <= pruner.factor <= 100:
        yield Problem(("pruner", "factor"), pruner.factor, "it must lie between 2 and 100")
    if pruner.kind == "none":
        return
    if spec.pruning_objective is None:
        why = "it must be the metric of an objective that the engine reports while it trains"
        yield Problem(("pruner", "metric"), pruner.metric or LATENCY_MS, why)
    if "epochs" in spec.space:
        why = "trials of different length cannot be judged by their epochs; fix the epochs"
        yield Problem(("pruner", "kind"), pruner.kind, why)
    elif pruner.min_epochs >= spec.epochs:
        why = f"with {spec.epochs} epochs nobody would ever be given up"
        yield Problem(("pruner", "min_epochs"), pruner.min_epochs, why)


def _grid(spec: SweepSpec) -> Iterator[Problem]:
    if spec.sampler != "grid":
        return
    for name, range_ in spec.space.items():
        n_points = len(grid_points(range_))
        if isinstance(range_, FloatRange | IntRange) and range_.log:
            yield Problem(("space", name, "log"), True, "a grid goes in equal steps; list choices")
        elif not n_points:
            yield Problem(
                ("space", name, "step"), None, "a grid needs a step, or a list of choices"
            )
    if not is_finite(spec):
        yield Problem(("space",), None, f"a grid has at most {MAX_GRID:,} points")


def _ignored(spec: SweepSpec) -> Iterator[Problem]:
    for name in IGNORED_BY_AUTO.get(spec.engine, ()):
        range_ = spec.space.get(name)
        if range_ is not None and _is_auto_possible(spec, range_):
            why = (
                f"{spec.engine} chooses {name} itself while its optimizer is auto, so every trial "
                "would train with the same one; set `fixed: {optimizer: SGD}` (or AdamW)"
            )
            yield Problem(("space", name), "varied", why)


def _is_auto_possible(spec: SweepSpec, range_: Range) -> bool:
    swept = spec.space.get("optimizer")
    if not isinstance(swept, Categorical):
        return str(spec.fixed.get("optimizer", "auto")).lower() == "auto"
    if swept.when and "optimizer" not in range_.when:
        return True  # where it does not count, the engine's own choice does
    own = {"optimizer": range_.when["optimizer"]} if "optimizer" in range_.when else {}
    return any(
        str(choice).lower() == "auto" and counts_in(own, {"optimizer": choice})
        for choice in swept.choices
    )
