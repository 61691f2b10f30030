"""The settings a job may pass: Ultralytics' own by their names, and four of this engine.

What is unknown is refused here, before the import of torch, with the names it resembles; values
are checked by Ultralytics itself before training begins.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import yaml

from sightloop.contracts.bundle import HeadLayout
from sightloop_ultralytics.errors import BadParameter, OwnedParameter, UnknownParameter

_OWNED = {
    "task": "this engine trains 'detect'",
    "mode": "this engine trains",
    "model": "name the weights in the job",
    "pretrained": "name the weights in the job",
    "resume": "an interrupted job starts again",
    "data": "it is the job's view",
    "split": "it is the job's view",
    "cfg": "pass the parameters themselves",
    "epochs": "set the job's epochs",
    "batch": "set the job's batch_size",
    "imgsz": "set the job's image_size_px",
    "device": "set the job's device",
    "seed": "set the job's seed",
    "project": "results lie in the job's folder",
    "name": "results lie in the job's folder",
    "exist_ok": "results lie in the job's folder",
    "save": "checkpoints are always kept",
    "nms": "set head to 'raw' or 'end_to_end'",
    "format": "the export is ONNX",
    "dynamic": "the exported input has a fixed shape",
    "quantize": "the exported file computes in float32",
    "val": "set validate_every",
}


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of this engine itself."""

    head: HeadLayout = "raw"
    """Which of YOLO26's two heads is validated during training, exported and answered with."""
    validate_every: int = 1
    """Epochs between validations; the last epoch is always validated."""
    opset: int = 18
    """Operator set of the ONNX file. Later ones lose speed on ONNX Runtime with CUDA."""
    simplify: bool = True
    """Whether onnxslim folds constants and removes what does nothing."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """A job's parameters, sorted by whom they concern."""

    engine: EngineSettings
    ultralytics: dict[str, Any]


def sort_parameters(given: Mapping[str, Any], known: frozenset[str]) -> Parameters:
    """The parameters, when all of them may be set.

    Raises:
        UnknownParameter: nobody knows the name.
        OwnedParameter: the job decides it.
        BadParameter: a value of this engine's own is of no use.
    """
    ours = set(EngineSettings.__struct_fields__)
    for name in given:
        if name in ours:
            continue
        if name in _OWNED:
            raise OwnedParameter(name=name, instead=_OWNED[name])
        if name not in known:
            similar = difflib.get_close_matches(name, sorted((known | ours) - set(_OWNED)), n=3)
            raise UnknownParameter(name=name, similar=similar)
    try:
        engine = msgspec.convert({k: v for k, v in given.items() if k in ours}, EngineSettings)
    except msgspec.ValidationError as error:
        raise BadParameter(problem=str(error)) from error
    if engine.validate_every < 1:
        raise BadParameter(problem=f"validate_every is {engine.validate_every}, not at least 1")
    return Parameters(engine=engine, ultralytics={k: v for k, v in given.items() if k not in ours})


def known_parameters() -> frozenset[str]:
    """The names of Ultralytics' own settings, read from its files without importing it."""
    file = library_folder() / "cfg" / "default.yaml"
    return frozenset(yaml.safe_load(file.read_text(encoding="utf-8")))


def library_folder() -> Path:
    """Where Ultralytics is installed; finding it does not import it."""
    spec = find_spec("ultralytics")
    assert spec is not None, "this distribution depends on ultralytics"
    assert spec.origin is not None, "ultralytics is a package of files"
    return Path(spec.origin).parent
