"""One line of results: what was found in one picture, or why nothing could be. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.device.predict import PredictReply


class ResultProblem(msgspec.Struct, frozen=True):
    """Why there is no prediction."""

    code: str
    message: str


class ResultLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One picture. Exactly one of `prediction` and `problem` is there."""

    format: Literal["sightloop.result/1"]
    stream: str
    captured_at_ms: int
    age_ms: float
    """From the moment the picture was taken from the source to its answer."""
    file: str = ""
    """In a folder: the file's name there when it was read."""
    position_ms: float = -1.0
    """In a film: where in it."""
    prediction: PredictReply | None = None
    problem: ResultProblem | None = None


def encode_line(line: ResultLine) -> bytes:
    """The line as it is written, without its end."""
    return msgspec.json.encode(line)
