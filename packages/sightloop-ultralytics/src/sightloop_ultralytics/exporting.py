"""The ONNX file: fixed input, batch of one, and nothing in it of the machine it was made on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sightloop.contracts.job import ExportJob, Job
from sightloop_ultralytics.parameters import EngineSettings
from sightloop_ultralytics.training import nms_argument

if TYPE_CHECKING:
    from ultralytics.models import YOLO

MODEL_FILE = "model.onnx"


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """The exported file and what it says of itself."""

    path: Path
    declared_licence: str


def export_model(model: YOLO, job: Job | ExportJob, settings: EngineSettings) -> Exported:
    """Write `model.onnx` into the output folder.

    Float32, opset 18, simplified unless told otherwise; equal weights give equal bytes.
    """
    written = model.export(
        format="onnx",
        imgsz=job.image_size_px,
        batch=1,
        dynamic=False,
        nms=nms_argument(settings),
        opset=settings.opset,
        simplify=settings.simplify,
        device="cpu",
    )
    path = Path(job.output) / MODEL_FILE
    licence = _write_without_origin(Path(written), path)
    Path(written).unlink()
    return Exported(path=path, declared_licence=licence)


def _write_without_origin(source: Path, target: Path) -> str:
    """Copy the file without its date and the path of its data; returns its declared licence."""
    import onnx

    model = onnx.load(source)
    metadata = {str(entry.key): str(entry.value) for entry in model.metadata_props}
    metadata.pop("date", None)
    metadata["description"] = metadata.get("description", "").partition(" trained on ")[0]
    onnx.helper.set_model_props(model, metadata)
    target.write_bytes(model.SerializeToString(deterministic=True))
    return metadata.get("license", "")
