"""What decided the numbers of a training beside its settings: told with the job's last line.

Whoever trains again from the record compares them with their own, and so finds out why a result
is not the same bit for bit.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ultralytics.models import YOLO


def numerics_of(model: YOLO, *, weights: str) -> dict[str, str | int | bool]:
    """Facts by name, for the details of the job's last line.

    Args:
        model: as it was trained.
        weights: what `find_weights` gave it to start from.
    """
    import torch

    trainer: Any = model.trainer
    return {
        "start_weights": start_digest(weights),
        "torch": str(torch.__version__),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch_threads": torch.get_num_threads(),
        "torch_device": str(trainer.device),
        "is_deterministic": bool(trainer.args.deterministic),
        "is_mixed_precision": bool(trainer.amp),
        "n_loader_workers": int(trainer.train_loader.num_workers),
    }


def start_digest(weights: str) -> str:
    """The digest of the file that training started from; the name itself of an architecture."""
    path = Path(weights)
    if not path.is_file():
        return weights
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
