"""A toy detector that survives eight bits, or does not: a convolution before it, quiet or loud."""

from __future__ import annotations

from pathlib import Path

import numpy as np

QUIET, LOUD = 1.0, 1e4
"""A value that the added convolution computes beside the picture's own 0 to 1. One scale in eight
bits for both leaves the picture 255 steps beside a quiet one, and none beside a loud one."""


def add_convolution(model_file: Path, *, loudness: float) -> None:
    """Let the picture go through two convolutions that give it back, exactly in fp32 if quiet."""
    import onnx  # a test dependency, and slow to load
    from onnx import helper, numpy_helper

    model = onnx.load(model_file)
    graph = model.graph
    picture = graph.input[0].name
    to_four = np.zeros((4, 3, 1, 1), np.float32)
    to_three = np.zeros((3, 4, 1, 1), np.float32)
    for colour in range(3):
        to_four[colour, colour] = to_three[colour, colour] = 1.0
    beside = np.array([0, 0, 0, loudness], np.float32)
    weights = {"to_four": to_four, "beside": beside, "to_three": to_three}
    graph.initializer.extend(numpy_helper.from_array(one, name) for name, one in weights.items())
    for node in graph.node:
        node.input[:] = ["seen" if name == picture else name for name in node.input]
    added = [
        helper.make_node("Conv", [picture, "to_four", "beside"], ["four"], name="widen"),
        helper.make_node("Conv", ["four", "to_three"], ["seen"], name="narrow"),
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*added, *rest])
    model_file.write_bytes(model.SerializeToString(deterministic=True))
