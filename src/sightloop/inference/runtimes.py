"""Which runtimes this machine has, and loading a model file into one of them.

CUDA and TensorRT are ONNX Runtime's providers of these names. They are chosen like the others but
were never run in our tests, which have no such device.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sightloop.contracts.bundle import RuntimeName
from sightloop.inference.errors import RuntimeMissing
from sightloop.inference.openvino_runtime import OpenVinoSession, openvino_version
from sightloop.inference.runtime import CPU_PROVIDER, OnnxSession, Session, available_providers

PROVIDERS: dict[RuntimeName, str] = {
    "onnxruntime": CPU_PROVIDER,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_CPU_INFO = Path("/proc/cpuinfo")
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_NVIDIA_DEVICES = Path("/proc/driver/nvidia/gpus")


def installed_runtimes() -> dict[RuntimeName, str]:
    """Every runtime that could run a model here, with its version; ONNX Runtime first."""
    present = available_providers()
    onnx_version = _onnx_version()
    found: dict[RuntimeName, str] = {
        name: onnx_version for name, provider in PROVIDERS.items() if provider in present
    }
    openvino = openvino_version()
    return found if openvino is None else found | {"openvino": openvino}


def open_session(
    runtime: RuntimeName, model_file: Path, *, threads: int, cache: Path | None = None
) -> Session:
    """The file, loaded.

    Args:
        runtime: what runs it.
        model_file: ONNX, or for OpenVINO also its own form.
        threads: processor threads of one run.
        cache: a folder in which TensorRT keeps the engine it builds.

    Raises:
        RuntimeMissing: that runtime is not installed here.
        ForeignModel: the runtime cannot load the file.
    """
    if runtime == "openvino":
        return OpenVinoSession(model_file, threads=threads)
    if PROVIDERS[runtime] not in available_providers():
        remedy = "install the package onnxruntime-gpu and the vendor's driver"
        raise RuntimeMissing(runtime=runtime, remedy=remedy)
    if runtime == "tensorrt" and cache is not None:
        # ONNX Runtime reads these once, when the provider is loaded.
        os.environ["ORT_TENSORRT_ENGINE_CACHE_ENABLE"] = "1"
        os.environ["ORT_TENSORRT_CACHE_PATH"] = str(cache)
    # What a provider cannot do, the processor does.
    wanted = PROVIDERS[runtime]
    providers = [wanted] if wanted == CPU_PROVIDER else [wanted, CPU_PROVIDER]
    return OnnxSession(model_file, threads=threads, providers=providers)


def hardware_of(runtime: RuntimeName) -> str:
    """What a build for this runtime depends on: processor, or devices and their driver.

    Two machines of one text may share builds; a new driver makes another text.
    """
    if runtime in ("cuda", "tensorrt"):
        devices = sorted(one.name for one in _NVIDIA_DEVICES.glob("*"))
        return f"{_first_line(_NVIDIA_DRIVER)}; {', '.join(devices)}"
    return f"{platform.machine()} {_processor()}"


def _processor() -> str:
    """Maker's name of the processor and what it can compute with."""
    facts: dict[str, str] = {}
    for line in _text(_CPU_INFO).splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    able = facts.get("flags", facts.get("Features", "")).split()
    wide = [one for one in able if one.startswith(("avx", "amx", "asimd", "sve", "i8mm"))]
    name = facts.get("model name", facts.get("CPU part", platform.processor()))
    return " ".join([name, *sorted(wide)])


def _first_line(path: Path) -> str:
    return (_text(path).splitlines() or ["no driver"])[0].strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _onnx_version() -> str:
    for package in ("onnxruntime-gpu", "onnxruntime"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    raise RuntimeMissing(runtime="onnxruntime", remedy="pip install sightloop[device]")
