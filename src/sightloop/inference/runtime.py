"""ONNX Runtime on the processor, with every choice made here and none left to its defaults.

This module alone knows ONNX Runtime; it says in our words what it cannot load or run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sightloop.inference.errors import ForeignModel

RUNTIME_NAME = f"onnxruntime {version('onnxruntime')} cpu"
"""What an evaluation writes down as the runtime it measured."""

CPU_PROVIDER = "CPUExecutionProvider"
_ERRORS_ONLY = 3


@cache
def _onnxruntime() -> ModuleType:
    """The library, loaded by the first model: a server that runs none saves 20 MB without it."""
    # The Linux wheels report usage to their maker, and leave a device id in the user's home,
    # unless they are told not to before they are imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return import_module("onnxruntime")


@cache
def _load_errors() -> tuple[type[Exception], ...]:
    _onnxruntime()
    errors = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NoModel,
        errors.NoSuchFile,
        errors.NotImplemented,
        errors.RuntimeException,
    )


class Port(NamedTuple):
    """An input or output as the file declares it; a dimension left open is a name or None."""

    name: str
    shape: list[int | str | None]
    dtype: str


class Session(Protocol):
    """A model file that is loaded by some runtime. `run` may be called from several threads."""

    def run(self, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Every output for this input, in the order the file declares them.

        Raises:
            ForeignModel: the file's own operations fail on it.
        """
        ...


class OnnxSession:
    """A loaded file. `run` may be called from several threads; they share the session's threads.

    Memory is given back for certain only when the process ends, so whoever replaces models starts
    a new process for each.
    """

    def __init__(
        self,
        model_file: Path,
        *,
        threads: int,
        spinning: bool = False,
        arena: bool = True,
        optimised: bool = True,
        providers: Sequence[str] = (CPU_PROVIDER,),
    ) -> None:
        """Load the file.

        Args:
            model_file: the exported model.
            threads: threads that share the work of one run.
            spinning: let waiting threads keep their cores busy: about a quarter faster on an idle
                machine (9 against 12 ms, yolo26n at 320 px on two cores), slower where the cores
                are shared, so it is off.
            arena: keep freed tensors for the next run. Off saves no memory at fixed shapes.
            optimised: False loads twice as fast and runs slower, for looking at a file only.
            providers: ONNX Runtime's names of what may run the file, the first that can does.

        Raises:
            ForeignModel: there is no such file, or ONNX Runtime cannot load it.
        """
        onnxruntime = _onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = arena
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "1" if spinning else "0"
        )
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._file = str(model_file)
        with self._translated("ONNX Runtime cannot load it"):
            self._session = onnxruntime.InferenceSession(
                self._file, options, providers=[*providers]
            )
        self._input_name = self._session.get_inputs()[0].name
        self._output_names = [port.name for port in self._session.get_outputs()]

    @property
    def inputs(self) -> list[Port]:
        """The declared inputs, in order."""
        return [Port(port.name, port.shape, port.type) for port in self._session.get_inputs()]

    @property
    def outputs(self) -> list[Port]:
        """The declared outputs, in order."""
        return [Port(port.name, port.shape, port.type) for port in self._session.get_outputs()]

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the exporter wrote into the file."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Every output for this input, in the declared order.

        Raises:
            ForeignModel: the file's own operations fail on it.
        """
        with self._translated("running it fails"):
            outputs = self._session.run(self._output_names, {self._input_name: tensor})
        return [np.asarray(output, dtype=np.float32) for output in outputs]

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except _load_errors() as error:
            raise ForeignModel(
                file=self._file, problem=f"{what} ({error})", remedy="export the model again"
            ) from error
