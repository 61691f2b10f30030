"""What an exported model says of itself: its input, its head, its classes, its licence.

Ultralytics writes these facts into the file's metadata; the shapes must tell the same story, and a
file that contradicts itself or leaves a size open is refused rather than guessed at. Only how many
pictures it takes at once may be open, in every input and output alike.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import msgspec

from sightloop.contracts.bundle import HeadLayout, ModelInput, Task
from sightloop.inference.errors import ForeignModel
from sightloop.inference.runtime import OnnxSession, Port

TASKS: tuple[Task, ...] = get_args(Task)
_EXPORT_AGAIN = "export it with Ultralytics, format 'onnx', batch 1, dynamic=False"


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How to feed and how to read a model file."""

    task: Task
    input: ModelInput
    head: HeadLayout
    class_names: list[str]
    keypoint_shape: tuple[int, int] = (0, 0)
    """Keypoints of an object and numbers of each, of the task `pose`."""
    declared_licence: str
    """As the exporter wrote it; empty when it wrote none."""
    engine_version: str
    """Version of the library that exported the file; empty when it wrote none."""
    takes_several: bool = False
    """Whether one run may look at several pictures: the first dimension is open."""


def read_model_facts(model_file: Path) -> ModelFacts:
    """The facts of this file; it is loaded but not run.

    Raises:
        ForeignModel: it is no ONNX file, no model of a known task, or contradicts itself.
    """
    return facts_of(OnnxSession(model_file, threads=1, optimised=False), file=str(model_file))


def facts_of(session: OnnxSession, *, file: str) -> ModelFacts:
    """The facts of a loaded file, which is called `file` in errors.

    Raises:
        ForeignModel: it is no model of a known task, or contradicts itself.
    """
    try:
        return _facts_of(session)
    except _Foreign as foreign:
        raise ForeignModel(
            file=file, problem=str(foreign), remedy=foreign.remedy
        ) from foreign.__cause__


class _Foreign(Exception):
    """What is wrong with the file, before its name is known."""

    def __init__(self, problem: str, remedy: str = _EXPORT_AGAIN) -> None:
        super().__init__(problem)
        self.remedy = remedy


def _facts_of(session: OnnxSession) -> ModelFacts:
    metadata = session.metadata
    task = _task_of(metadata)
    class_names = _class_names(metadata)
    model_input = _input_of(session.inputs, metadata)
    keypoint_shape = _keypoint_shape(metadata) if task == "pose" else (0, 0)
    if task == "classify":
        model_input = msgspec.structs.replace(model_input, fit="center_crop")
        head = _probabilities(session.outputs, n_classes=len(class_names))
    else:
        n_extra = _n_extra(task, session.outputs, model_input, keypoint_shape)
        head = _head_of(session.outputs, metadata, n_classes=len(class_names), n_extra=n_extra)
    return ModelFacts(
        task=task,
        input=model_input,
        head=head,
        class_names=class_names,
        keypoint_shape=keypoint_shape,
        declared_licence=metadata.get("license", ""),
        engine_version=metadata.get("version", ""),
        takes_several=_takes_several([*session.inputs, *session.outputs]),
    )


def _task_of(metadata: Mapping[str, str]) -> Task:
    named = metadata.get("task")
    if named is None:
        raise _Foreign("its metadata does not name a task")
    task = next((one for one in TASKS if one == named), None)
    if task is None:
        known = ", ".join(TASKS)
        raise _Foreign(f"its task is {named!r}", f"Sightloop runs models of the tasks {known}")
    for key, wanted in (("batch", 1), ("channels", 3)):
        if key in metadata and _literal(metadata, key) != wanted:
            raise _Foreign(f"its {key} is {metadata[key]}, not {wanted}")
    return task


def _class_names(metadata: Mapping[str, str]) -> list[str]:
    names = _literal(metadata, "names")
    if not isinstance(names, dict) or not names:
        raise _Foreign("its metadata names no classes")
    if sorted(names) != list(range(len(names))):
        raise _Foreign(f"its class indices are {sorted(names)}, not 0 to {len(names) - 1}")
    return [str(names[index]) for index in range(len(names))]


def _input_of(inputs: list[Port], metadata: Mapping[str, str]) -> ModelInput:
    if len(inputs) != 1:
        raise _Foreign(f"it has {len(inputs)} inputs, not one")
    port = inputs[0]
    sizes = _fixed_shape(port)
    if port.dtype != "tensor(float)" or len(sizes) != 4 or sizes[:2] != [1, 3]:
        raise _Foreign(f"its input is {port.dtype} {sizes}, not tensor(float) [1, 3, h, w]")
    height_px, width_px = sizes[2:]
    if "imgsz" in metadata and _literal(metadata, "imgsz") != [height_px, width_px]:
        raise _Foreign(
            f"its metadata says imgsz {metadata['imgsz']} but its input is "
            f"{height_px} x {width_px} px high and wide"
        )
    return ModelInput(width_px=width_px, height_px=height_px)


def _head_of(
    outputs: list[Port], metadata: Mapping[str, str], *, n_classes: int, n_extra: int
) -> HeadLayout:
    """`end2end` decides, for (1, 6, n) fits a raw head of two classes and looks like the other."""
    sizes = _fixed_shape(outputs[0])
    end_to_end = _literal(metadata, "end2end")
    if not isinstance(end_to_end, bool):
        raise _Foreign("its metadata does not say whether its head is end to end")
    if len(sizes) == 3 and sizes[0] == 1:
        if end_to_end and sizes[2] == 6 + n_extra:
            return "end_to_end"
        if not end_to_end and sizes[1] == 4 + n_classes + n_extra:
            return "raw"
        if sizes[2] == 6 + n_extra:
            raise _Foreign(
                "suppression with fixed thresholds is built into it",
                "export it with nms=False or without the argument nms",
            )
    wanted = f"(1, k, {6 + n_extra})" if end_to_end else f"(1, {4 + n_classes + n_extra}, n)"
    raise _Foreign(
        f"its output has the shape {sizes}, but {n_classes} classes and "
        f"end2end={end_to_end} make {wanted}"
    )


def _n_extra(
    task: Task, outputs: list[Port], model_input: ModelInput, keypoint_shape: tuple[int, int]
) -> int:
    """Numbers of an object beside its box, score and class."""
    n_outputs = 2 if task == "segment" else 1
    if len(outputs) != n_outputs:
        wanted = "two" if task == "segment" else "one"
        raise _Foreign(f"it has {len(outputs)} outputs, not {wanted}")
    if task != "segment":
        return {"obb": 1, "pose": keypoint_shape[0] * keypoint_shape[1]}.get(task, 0)
    sizes = _fixed_shape(outputs[1])
    quarter = [model_input.height_px // 4, model_input.width_px // 4]
    if len(sizes) != 4 or sizes[0] != 1 or sizes[2:] != quarter:
        raise _Foreign(f"its masks have the shape {sizes}, not [1, n, {quarter[0]}, {quarter[1]}]")
    return sizes[1]


def _keypoint_shape(metadata: Mapping[str, str]) -> tuple[int, int]:
    match _literal(metadata, "kpt_shape"):
        case [int(count), 2 | 3 as dims] if count > 0:
            return count, dims
        case other:
            raise _Foreign(f"its kpt_shape is {other}, not a number of keypoints and 2 or 3")


def _probabilities(outputs: list[Port], *, n_classes: int) -> HeadLayout:
    if len(outputs) != 1:
        raise _Foreign(f"it has {len(outputs)} outputs, not one")
    sizes = _fixed_shape(outputs[0])
    if sizes != [1, n_classes]:
        raise _Foreign(f"its output has the shape {sizes}, not [1, {n_classes}]")
    return "probabilities"


def _takes_several(ports: list[Port]) -> bool:
    several = [bool(port.shape) and not _is_fixed(port.shape[0]) for port in ports]
    if any(several) and not all(several):
        raise _Foreign("its inputs and outputs do not agree whether it takes several pictures")
    return all(several)


def _is_fixed(size: int | str | None) -> bool:
    return isinstance(size, int) and size > 0


def _fixed_shape(port: Port) -> list[int]:
    """Its shape for one picture."""
    shape = [1 if at == 0 and not _is_fixed(size) else size for at, size in enumerate(port.shape)]
    sizes = [size for size in shape if isinstance(size, int) and size > 0]
    if len(sizes) != len(shape):
        raise _Foreign(f"the shape of {port.name!r} is open: {port.shape}")
    return sizes


def _literal(metadata: Mapping[str, str], key: str) -> object:
    """A value that Ultralytics wrote with `str`; `literal_eval` reads it and runs nothing."""
    if key not in metadata:
        raise _Foreign(f"its metadata has no {key!r}")
    try:
        value: object = ast.literal_eval(metadata[key])
    except (ValueError, SyntaxError) as error:
        raise _Foreign(f"its metadata {key!r} cannot be read: {metadata[key][:80]!r}") from error
    return value
