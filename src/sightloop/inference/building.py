"""Making an exported file ready for another runtime or precision: what is gated, what runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sightloop.contracts.bundle import ModelInput, Precision, RuntimeName
from sightloop.inference.detector import input_tensor
from sightloop.inference.images import decode_picture
from sightloop.inference.letterbox import Tensor
from sightloop.inference.openvino_runtime import convert_to_openvino
from sightloop.inference.quantisation import quantise


def needs_building(runtime: RuntimeName, precision: Precision) -> bool:
    """Whether this way to run needs a file of its own beside the exported one."""
    return precision != "fp32" or runtime not in ("onnxruntime", "cuda")


def build_into(
    folder: Path,
    model_file: Path,
    *,
    runtime: RuntimeName,
    precision: Precision,
    tensors: Iterable[Tensor],
) -> Path:
    """The file to open, made in `folder`; the model file itself stays as it is.

    Args:
        folder: takes the file and what lies beside it.
        model_file: the exported ONNX file.
        runtime: what shall run it.
        precision: `int8` rounds the convolutions, scaled on `tensors`.
        tensors: inputs as the model gets them; only taken for `int8`.

    Raises:
        RuntimeMissing: a library is not installed.
        ForeignModel: the runtime cannot take the file.
        NoValues: there is no image to scale on.
    """
    source = model_file
    if precision == "int8":
        source = folder / "model.int8.onnx"
        quantise(model_file, tensors, source)
    if runtime == "openvino":
        convert_to_openvino(source, folder / "model.xml")
        return folder / "model.xml"
    if precision == "fp32":  # TensorRT compiles what lies beside its cache
        source = folder / "model.onnx"
        source.write_bytes(model_file.read_bytes())
    return source


def tensors_of(images: Iterable[bytes], size: ModelInput) -> Iterator[Tensor]:
    """Each image as the model gets it.

    Raises:
        UnreadableImage: one of them is no image.
    """
    for content in images:
        yield input_tensor(decode_picture(content, name="an image that scales"), size)
