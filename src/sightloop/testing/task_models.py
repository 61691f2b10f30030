"""Toy models of every task: the toy detector of blobs, whose answers also have shapes.

Each object of `segment` fills its box, of `pose` has a keypoint in its middle and an unseen one in
its corner, of `obb` is turned by `TURN_RAD`; a class of `classify` is as likely as its best blob.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.bundle import HeadLayout, Task
from sightloop.testing.models import write_blob_model

TURN_RAD = 0.25
VISIBILITIES = (0.9, 0.2)


def write_task_model(path: Path, task: Task, *, classes: tuple[str, ...], size_px: int) -> None:
    """Write the toy model of the task, end to end; equal arguments give equal bytes."""
    head: HeadLayout = "raw" if task == "classify" else "end_to_end"
    write_blob_model(path, classes=classes, size_px=size_px, head=head)
    if task == "detect":
        return
    import onnx  # a test dependency, and slow to load

    model = onnx.load(path)
    metadata = {str(entry.key): str(entry.value) for entry in model.metadata_props}
    metadata |= {"task": task} | ({"kpt_shape": "[2, 3]"} if task == "pose" else {})
    onnx.helper.set_model_props(model, metadata)
    for node in model.graph.node:
        node.output[:] = ["objects" if name == "output0" else name for name in node.output]
    if task == "classify":
        _end_with_probabilities(model, n_classes=len(classes))
    else:
        _end_with_objects(model, task, size_px=size_px)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _end_with_objects(model: object, task: Task, *, size_px: int) -> None:
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph  # type: ignore[attr-defined]  # built by onnx at run time
    weights, constants = _columns(task)
    n_rows = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    del graph.output[:]
    graph.initializer.extend(
        [
            numpy_helper.from_array(weights, "column_weights"),
            numpy_helper.from_array(constants, "column_constants"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("MatMul", ["objects", "column_weights"], ["weighted"]),
            helper.make_node("Add", ["weighted", "column_constants"], ["output0"]),
        ]
    )
    shape = [1, n_rows, weights.shape[1]]
    graph.output.append(helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape))
    if task == "segment":
        prototypes = np.ones((1, 1, size_px // 4, size_px // 4), dtype=np.float32)
        graph.initializer.append(numpy_helper.from_array(prototypes, "prototypes"))
        graph.node.append(helper.make_node("Identity", ["prototypes"], ["output1"]))
        graph.output.append(
            helper.make_tensor_value_info("output1", TensorProto.FLOAT, list(prototypes.shape))
        )


def _columns(task: Task) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How the numbers of an object follow from its corners, score and class: weights, constants."""
    columns: list[NDArray[np.float32]]
    constants: Sequence[float]
    same = np.eye(6, dtype=np.float32)
    middle_x, middle_y = (same[0] + same[2]) / 2, (same[1] + same[3]) / 2
    nothing = np.zeros(6, dtype=np.float32)
    if task == "segment":
        columns = [*list(same), nothing]
        constants = [0] * 6 + [1]
    elif task == "pose":
        points = [middle_x, middle_y, nothing, same[0], same[1], nothing]
        columns = [*list(same), *points]
        constants = [0] * 8 + [VISIBILITIES[0], 0, 0, VISIBILITIES[1]]
    else:
        size = [same[2] - same[0], same[3] - same[1]]
        columns = [middle_x, middle_y, *size, same[4], same[5], nothing]
        constants = [0] * 6 + [TURN_RAD]
    return np.stack(columns, axis=1), np.array(constants, dtype=np.float32)


def _end_with_probabilities(model: object, *, n_classes: int) -> None:
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph  # type: ignore[attr-defined]  # built by onnx at run time
    del graph.output[:]
    # Row 3 is a box's height and row 4 the first score.
    for name, value in (("first", 4), ("last", 4 + n_classes), ("score_axis", 1)):
        graph.initializer.append(numpy_helper.from_array(np.array([value], dtype=np.int64), name))
    graph.node.extend(
        [
            helper.make_node("Slice", ["objects", "first", "last", "score_axis"], ["class_scores"]),
            helper.make_node("ReduceMax", ["class_scores"], ["output0"], axes=[2], keepdims=0),
        ]
    )
    graph.output.append(helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, n_classes]))
