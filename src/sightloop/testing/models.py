"""A toy detector that really is an ONNX file, and pictures of the blobs it finds.

The picture is cut into a grid of square cells, each of which is one anchor. Every class has a hue;
its score in a cell is a logistic function of how much of that hue the cell's mean colour has. So
the file trains in no time (it is written, not trained), answers in a fraction of a millisecond, and
has the metadata, the shapes and the faults of a real export: other rooms test with it instead of
with torch. Up to four classes are told apart well.

`threshold_level` and `gains` make it better or worse. At the default level it finds `PLAIN` blobs,
but of `PALE` and `DIM` ones, a new product line and a failed lamp to it, it scores some faintly and
gives the rest less than any evaluation looks at; at `SENSITIVE_LEVEL` it finds all of the three.
A gain of 0 blinds it to a class.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightloop.contracts.bundle import HeadLayout
from sightloop.contracts.job import LabelledBox

if TYPE_CHECKING:
    import onnx

CELLS_PER_SIDE = 8
DEFAULT_LEVEL = 0.33
"""How much of a class's hue, in units of a full colour, makes a score of one half."""
SENSITIVE_LEVEL = 0.1
STEEPNESS = 60.0
"""How fast the score rises with the amount of hue: a score is sigmoid(60 (amount - level))."""

_BACKGROUND_GREY = 110


@dataclass(frozen=True, slots=True)
class BlobStyle:
    """How blobs look: a product line, or the light above it."""

    saturation: float
    brightness: float
    fading: float = 0.0
    """Each blob loses a random share of its colour, at most this."""
    noise_grey: float = 6.0
    """Standard deviation of the noise, in grey levels."""


PLAIN = BlobStyle(saturation=0.9, brightness=0.9)
PALE = BlobStyle(saturation=0.52, brightness=0.9, fading=0.55)
DIM = BlobStyle(saturation=0.9, brightness=0.52, fading=0.55)


class BlobImage(NamedTuple):
    """A JPEG file and what is on it."""

    content: bytes
    boxes: list[LabelledBox]


def write_blob_model(
    path: Path,
    *,
    classes: Sequence[str],
    size_px: int = 64,
    head: HeadLayout = "end_to_end",
    gains: Sequence[float] | None = None,
    threshold_level: float = DEFAULT_LEVEL,
    takes_several: bool = False,
) -> None:
    """Write the toy detector; equal arguments give equal bytes.

    Args:
        path: the ONNX file to make.
        classes: names; each gets a hue, evenly spread.
        size_px: side of the square input, a multiple of `CELLS_PER_SIDE`.
        head: which of the two output layouts the file has.
        gains: per class, how strongly the score answers to the hue; 1 unless given.
        threshold_level: amount of hue that makes a score of one half.
        takes_several: leave open how many pictures it takes at once; of the end-to-end head only.
    """
    from onnx import TensorProto, helper, numpy_helper  # a test dependency, and slow to load

    assert size_px % CELLS_PER_SIDE == 0, f"{size_px} px is no multiple of {CELLS_PER_SIDE}"
    boxes = _cell_boxes(size_px)
    scores = _score_part(_hue_weights(len(classes), gains), threshold_level, size_px=size_px)
    answer = _raw_part(boxes) if head == "raw" else _end_to_end_part(boxes)
    output_shape: list[int | str] = (
        [1, 4 + len(classes), len(boxes)] if head == "raw" else [1, len(boxes), 6]
    )
    constants = scores.constants | answer.constants
    n_pictures: str | int = 1
    if takes_several:
        assert head == "end_to_end", "the boxes of the raw head are constants for one picture"
        n_pictures = "n"
        constants["anchors_last"] = np.array([0, len(classes), -1], dtype=np.int64)
    input_shape = [n_pictures, 3, size_px, size_px]
    output_shape = [n_pictures, *output_shape[1:]]
    graph = helper.make_graph(
        scores.nodes + answer.nodes,
        "blobs",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, _metadata(classes, size_px=size_px, head=head))
    path.write_bytes(model.SerializeToString(deterministic=True))


def draw_blob_image(
    rng: np.random.Generator,
    *,
    n_classes: int = 2,
    size_px: int = 64,
    style: BlobStyle = PLAIN,
    n_blobs: int | None = None,
) -> BlobImage:
    """A grey picture with coloured squares, each in about a cell of the toy detector's grid.

    Args:
        rng: everything random is drawn from it.
        n_classes: classes to draw from.
        size_px: side of the square picture.
        style: how the squares look.
        n_blobs: how many, each in a cell of its own; 1 to 4 unless given.
    """
    import cv2  # kept out of the testing room's own import

    cell_px = size_px // CELLS_PER_SIDE
    noise = rng.normal(0, style.noise_grey, (size_px, size_px, 3))
    colours = np.full((size_px, size_px, 3), _BACKGROUND_GREY, dtype=np.float64)
    n_drawn = int(rng.integers(1, 5)) if n_blobs is None else n_blobs
    boxes = []
    for cell in rng.choice(CELLS_PER_SIDE**2, n_drawn, replace=False):
        row, column = divmod(int(cell), CELLS_PER_SIDE)
        # Up to a ninth of a cell off: the cell's own box still overlaps it by more than one half.
        shift_x, shift_y = (int(n) for n in rng.integers(-(cell_px // 9), cell_px // 9 + 1, 2))
        left = min(max(column * cell_px + shift_x, 0), size_px - cell_px)
        top = min(max(row * cell_px + shift_y, 0), size_px - cell_px)
        class_index = int(rng.integers(n_classes))
        rgb = _hue(class_index, n_classes, style.saturation, style.brightness)
        from_grey = 255 * np.array(rgb[::-1]) - _BACKGROUND_GREY
        faded = _BACKGROUND_GREY + (1 - style.fading * rng.random()) * from_grey
        colours[top : top + cell_px, left : left + cell_px] = faded
        boxes.append(LabelledBox(class_index, left, top, left + cell_px, top + cell_px))
    pixels = np.clip(colours + noise, 0, 255).astype(np.uint8)
    return BlobImage(cv2.imencode(".jpg", pixels)[1].tobytes(), boxes)


class _Part(NamedTuple):
    """Some nodes of the graph, and the constants they use."""

    nodes: list[onnx.NodeProto]
    constants: dict[str, NDArray[np.float32] | NDArray[np.int64]]


def _score_part(weights: NDArray[np.float32], level: float, *, size_px: int) -> _Part:
    from onnx.helper import make_node

    n_classes = len(weights)
    cell = [size_px // CELLS_PER_SIDE] * 2
    return _Part(
        [
            make_node("AveragePool", ["images"], ["cells"], kernel_shape=cell, strides=cell),
            make_node("Conv", ["cells", "weights", "bias"], ["grid"]),
            make_node("Sigmoid", ["grid"], ["grid_scores"]),
            make_node("Reshape", ["grid_scores", "anchors_last"], ["scores"]),
        ],
        {
            "weights": weights[:, :, np.newaxis, np.newaxis],
            "bias": np.full(n_classes, -STEEPNESS * level, dtype=np.float32),
            "anchors_last": np.array([1, n_classes, -1], dtype=np.int64),
        },
    )


def _raw_part(boxes: NDArray[np.float32]) -> _Part:
    from onnx.helper import make_node

    size = boxes[:, 2:] - boxes[:, :2]
    columns = np.concatenate([boxes[:, :2] + size / 2, size], axis=1).astype(np.float32)
    return _Part(
        [make_node("Concat", ["boxes", "scores"], ["output0"], axis=1)],
        {"boxes": columns.T[np.newaxis]},
    )


def _end_to_end_part(boxes: NDArray[np.float32]) -> _Part:
    from onnx import TensorProto
    from onnx.helper import make_node

    return _Part(
        [
            make_node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=0),
            make_node("ArgMax", ["scores"], ["classes"], axis=1, keepdims=0),
            make_node("TopK", ["best", "k"], ["top", "rows"]),
            make_node("Gather", ["boxes", "rows"], ["top_boxes"], axis=0),
            make_node("GatherElements", ["classes", "rows"], ["top_classes"], axis=1),
            make_node("Cast", ["top_classes"], ["top_numbers"], to=TensorProto.FLOAT),
            make_node("Unsqueeze", ["top", "last_axis"], ["score_column"]),
            make_node("Unsqueeze", ["top_numbers", "last_axis"], ["class_column"]),
            make_node("Concat", ["top_boxes", "score_column", "class_column"], ["output0"], axis=2),
        ],
        {
            "boxes": boxes,
            "k": np.array([len(boxes)], dtype=np.int64),
            "last_axis": np.array([2], dtype=np.int64),
        },
    )


def _hue(
    class_index: int, n_classes: int, saturation: float, brightness: float
) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(class_index / n_classes, saturation, brightness)


def _hue_weights(n_classes: int, gains: Sequence[float] | None) -> NDArray[np.float32]:
    """(n_classes, 3): each class's full colour without its grey, so that grey scores nothing."""
    colours = np.array([_hue(index, n_classes, 1.0, 1.0) for index in range(n_classes)])
    hues = colours - colours.mean(axis=1, keepdims=True)
    units = hues / np.linalg.norm(hues, axis=1, keepdims=True)
    strengths = np.ones(n_classes) if gains is None else np.asarray(gains, dtype=np.float64)
    weights: NDArray[np.float32] = (STEEPNESS * strengths[:, np.newaxis] * units).astype(np.float32)
    return weights


def _cell_boxes(size_px: int) -> NDArray[np.float32]:
    """(n_cells, 4): corners of each cell, row by row."""
    cell_px = size_px // CELLS_PER_SIDE
    top, left = np.divmod(np.arange(CELLS_PER_SIDE**2), CELLS_PER_SIDE)
    return (np.stack([left, top, left + 1, top + 1], axis=1) * cell_px).astype(np.float32)


def _metadata(classes: Sequence[str], *, size_px: int, head: HeadLayout) -> dict[str, str]:
    """As Ultralytics writes it: every value through `str`."""
    return {
        "description": "toy detector of coloured blobs",
        "version": "1",
        "license": "Apache-2.0",
        "stride": str(size_px // CELLS_PER_SIDE),
        "task": "detect",
        "head": "Detect",
        "batch": "1",
        "imgsz": str([size_px, size_px]),
        "names": str(dict(enumerate(classes))),
        "channels": "3",
        "end2end": str(head == "end_to_end"),
    }
