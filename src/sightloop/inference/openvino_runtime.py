"""OpenVINO on the processor, with every choice made here. Alone knows the library."""

from __future__ import annotations

import threading
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightloop.inference.errors import ForeignModel, RuntimeMissing


@cache
def _openvino() -> Any:  # noqa: ANN401 - the library is optional and its types with it
    try:
        return import_module("openvino")
    except ImportError as error:
        raise RuntimeMissing(
            runtime="openvino", remedy="pip install sightloop[openvino]"
        ) from error


def openvino_version() -> str | None:
    """The version that is installed, without loading it; None where there is none."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


class OpenVinoSession:
    """A loaded file, ONNX or OpenVINO's own. `run` may be called from several threads."""

    def __init__(self, model_file: Path, *, threads: int) -> None:
        """Load and compile the file.

        Raises:
            RuntimeMissing: OpenVINO is not installed.
            ForeignModel: there is no such file, or OpenVINO cannot load it.
        """
        openvino = _openvino()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,  # one image at a time, as soon as possible
            "PERFORMANCE_HINT": "LATENCY",
            # What was gated is what runs: the library would else round to bfloat16 where it can.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            self._compiled = openvino.Core().compile_model(str(model_file), "CPU", settings)
        except RuntimeError as error:
            raise _foreign(model_file, "OpenVINO cannot load it", error) from error
        self._file = model_file
        self._n_outputs = len(self._compiled.outputs)
        # A request holds the tensors of one run.
        self._requests = threading.local()

    def run(self, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Every output for this input, in the declared order.

        Raises:
            ForeignModel: the file's own operations fail on it.
        """
        request = getattr(self._requests, "mine", None)
        if request is None:
            request = self._requests.mine = self._compiled.create_infer_request()
        try:
            request.infer([tensor], share_inputs=True)
        except RuntimeError as error:
            raise _foreign(self._file, "running it fails", error) from error
        # Copied: the next run writes into the same memory.
        return [
            np.array(request.get_output_tensor(index).data, dtype=np.float32)
            for index in range(self._n_outputs)
        ]


def convert_to_openvino(model_file: Path, into: Path) -> None:
    """Write the ONNX file in OpenVINO's own form, `into` and a `.bin` beside it, weights unchanged.

    Raises:
        RuntimeMissing: OpenVINO is not installed.
        ForeignModel: OpenVINO cannot load the file.
    """
    openvino = _openvino()
    try:
        model = openvino.Core().read_model(str(model_file))
        openvino.save_model(model, str(into), compress_to_fp16=False)
    except RuntimeError as error:
        raise _foreign(model_file, "OpenVINO cannot convert it", error) from error


def _foreign(model_file: Path, what: str, error: Exception) -> ForeignModel:
    reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else "no reason given"
    return ForeignModel(
        file=str(model_file), problem=f"{what} ({reason})", remedy="run it with ONNX Runtime"
    )
