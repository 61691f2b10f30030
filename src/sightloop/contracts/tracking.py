"""What a program that tracks its own run tells a server: it begins, measures, ends. Pure.

Written by `sightloop.client`, kept in its spool as specified in `docs/formats/run-spool.md`, taken
by `sightloop.tracking.receiving`. Everything may be sent twice: a run is begun once, and a batch
whose number was taken is not taken again.
"""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sightloop.contracts.numbers import Number

MAX_POINTS = 5000
"""In one batch."""
MAX_PARAMS = 100
MAX_TAGS = 100
MAX_KEY_CHARACTERS = 250
MAX_PARAM_CHARACTERS = 6000
MAX_TAG_CHARACTERS = 8000
MAX_STEP = 2**63 - 1

# MLflow's characters, and the parentheses of Ultralytics' metrics, which the engine logs as well.
_NAME = re.compile(r"[/\w.\- :()]+")

RunName = Annotated[str, Meta(pattern=r"^run_[0-9a-z]{22}$")]
PartName = Annotated[str, Meta(pattern=r"^[0-9a-z-]{1,64}$")]
Time = Annotated[int, Meta(ge=0, le=2**53)]
Step = Annotated[int, Meta(ge=-MAX_STEP, le=MAX_STEP)]
TrackedEnd = Literal["finished", "failed", "cancelled"]

WirePoint = tuple[str, Number, Step, Time]
"""Key, value, step, milliseconds since 1970."""


class BeginTracking(msgspec.Struct, frozen=True, kw_only=True):
    """A run of code that Sightloop did not start; its id was made by the client."""

    run: RunName
    experiment: Annotated[str, Meta(min_length=1, max_length=500)] = "default"
    name: Annotated[str, Meta(max_length=MAX_TAG_CHARACTERS)] = ""
    user: Annotated[str, Meta(max_length=500)] = ""
    started_at_ms: Time


class TrackBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a run measured and was given since the batch before."""

    run: RunName
    part: PartName
    """Which process of the run speaks: each numbers its own batches."""
    number: Annotated[int, Meta(ge=0, le=2**53)]
    """Greater than that of every batch of this part before; gaps are allowed."""
    points: Annotated[list[WirePoint], Meta(max_length=MAX_POINTS)] = []
    params: Annotated[dict[str, str], Meta(max_length=MAX_PARAMS)] = {}
    tags: Annotated[dict[str, str], Meta(max_length=MAX_TAGS)] = {}


class EndTracking(msgspec.Struct, frozen=True, kw_only=True):
    """How the run ended; a run that ended stays as it ended first."""

    run: RunName
    state: TrackedEnd
    ended_at_ms: Time
    reason: Annotated[str, Meta(max_length=2000)] = ""


class Tracked(msgspec.Struct, frozen=True, kw_only=True):
    """The run as the server has it now."""

    run: str
    state: str


def name_problem(key: str) -> str:
    """Why no metric, parameter or tag may be called this; empty when it may.

    >>> name_problem("train/box_loss"), name_problem("../up")
    ('', 'as a path it would lead elsewhere')
    """
    if not _NAME.fullmatch(key):
        return "it may hold letters, digits, _ - . : / ( ) and spaces only"
    if len(key) > MAX_KEY_CHARACTERS:
        return f"it has more than {MAX_KEY_CHARACTERS} characters"
    if posixpath.normpath(key) != key or key.startswith(("/", "..")):
        return "as a path it would lead elsewhere"
    return ""
