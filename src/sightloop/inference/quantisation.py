"""Eight-bit copies of a model file: its convolutions, scaled on images it has not learned from.

Only convolutions are rounded, and not those of the head's last layers, whose outputs are scores in
0 to 1 beside boxes of hundreds of pixels: one scale for both would leave nothing of the scores.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightloop.inference.errors import NoValues, RuntimeMissing

MOST_IMAGES = 128
"""More hardly move the scales, and all activations of each are looked at."""


def can_quantise() -> bool:
    """Whether the library that rewrites model files is installed."""
    try:
        version("onnx")
    except PackageNotFoundError:
        return False
    return True


def quantise(model_file: Path, tensors: Iterable[NDArray[np.float32]], into: Path) -> None:
    """Write an eight-bit copy of the ONNX file, still ONNX, for any runtime.

    Args:
        model_file: the exported file.
        tensors: inputs as the model gets them; at most `MOST_IMAGES` are used.
        into: the file to make; its folder takes temporary files while this works.

    Raises:
        RuntimeMissing: the library `onnx` is not installed.
        NoValues: there is no image to scale on.
    """
    if not can_quantise():
        raise RuntimeMissing(runtime="int8 builds", remedy="pip install sightloop[int8]")
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the first import; see `runtime`
    quantization = import_module("onnxruntime.quantization")
    onnx = import_module("onnx")
    chosen = [tensor for _, tensor in zip(range(MOST_IMAGES), tensors, strict=False)]
    if not chosen:
        raise NoValues(what="the images that scale an int8 build")
    model = onnx.load(model_file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice about options that are decided here
        quantization.quantize_static(
            str(model_file),
            str(into),
            _reader(quantization, model.graph.input[0].name, chosen),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=last_convolutions(model.graph),
        )


def last_convolutions(graph: Any) -> list[str]:  # noqa: ANN401 - a graph of onnx, loaded on demand
    """Names of the convolutions from which an output is reached without passing another one."""
    maker = {name: node for node in graph.node for name in node.output}
    waiting = [output.name for output in graph.output]
    seen: set[str] = set()
    last: list[str] = []
    while waiting:
        node = maker.get(waiting.pop())
        if node is None or node.output[0] in seen:
            continue
        seen.add(node.output[0])
        if node.op_type == "Conv":
            last.append(node.name)
        else:
            waiting.extend(node.input)
    return last


def _reader(quantization: Any, name: str, tensors: list[NDArray[np.float32]]) -> Any:  # noqa: ANN401
    inputs: Iterator[dict[str, NDArray[np.float32]]] = iter({name: one} for one in tensors)
    next_input: Callable[[object], object] = lambda _: next(inputs, None)  # noqa: E731
    return type("Reader", (quantization.CalibrationDataReader,), {"get_next": next_input})()
