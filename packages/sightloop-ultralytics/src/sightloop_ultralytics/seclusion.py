"""Keeping Ultralytics to itself: no network, no analytics, no files but the job's own.

It reads its environment and its settings file when it is imported, so this comes first. Each
precaution answers something it does by itself: look-ups of public names, usage events, package
installs while running, fonts fetched for charts, loggers that start because their package is there.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import msgspec

_SETTINGS_VERSION = "0.0.8"
_INTEGRATIONS = (
    "clearml",
    "comet",
    "dvc",
    "mlflow",
    "raytune",
    "tensorboard",
    "wandb",
    "vscode_msg",
    "openvino_msg",
)
_FOLDERS_BY_VARIABLE = {
    "YOLO_CONFIG_DIR": "config",
    "MPLCONFIGDIR": "matplotlib",
    "TORCH_HOME": "torch",
    "TORCHINDUCTOR_CACHE_DIR": "torch",
    "XDG_CACHE_HOME": "cache",
    "XDG_CONFIG_HOME": "config",
    "TMPDIR": "tmp",
}
_SWITCHES = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "MPLBACKEND": "Agg",
    # Else ONNX Runtime keeps a device id and sends usage events, from its import on.
    "ORT_DISABLE_TELEMETRY": "1",
    # Threads that wait for one another sleep. By default they spin, and beside anything else on
    # the machine two threads then took 50 s for an epoch that takes 6 s with one, 9 s like this.
    "OMP_WAIT_POLICY": "PASSIVE",
}


def seclude(folder: Path) -> None:
    """Point everything Ultralytics would share with others into `folder`, and switch the rest off.

    Call it before the first import of ultralytics, torch or matplotlib.
    """
    for variable, name in _FOLDERS_BY_VARIABLE.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        os.environ[variable] = str(folder / name)
    os.environ.update(_SWITCHES)
    config = folder / "config" / "Ultralytics"
    config.mkdir(exist_ok=True)
    (config / "settings.json").write_bytes(msgspec.json.encode(_settings(folder)))
    _place_fonts(config)


def _settings(folder: Path) -> dict[str, str | bool]:
    settings: dict[str, str | bool] = {
        "settings_version": _SETTINGS_VERSION,
        "datasets_dir": str(folder / "datasets"),
        "weights_dir": str(folder / "weights"),
        "runs_dir": str(folder / "runs"),
        "uuid": "",
        "sync": False,
        "api_key": "",
        "openai_api_key": "",
    }
    return settings | dict.fromkeys(_INTEGRATIONS, False)


def _place_fonts(config: Path) -> None:
    # Charts ask for Arial and, where it is missing, for the network, offline or not.
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return
    font = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    if font.exists():
        for name in ("Arial.ttf", "Arial.Unicode.ttf"):
            shutil.copyfile(font, config / name)
