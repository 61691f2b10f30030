"""What decided the numbers of one training, as far as it is known. Pure."""

from __future__ import annotations

import re

import msgspec

from sightloop.kernel.environment import Environment
from sightloop.tracking.values import Run

_DETAILS = "details."
_NO_DETERMINISM = re.compile(r"(\w+) does not have a deterministic implementation")
NUMERICS = {
    "torch": "PyTorch's build",
    "cpu_capability": "kernels that PyTorch chose for the processor",
    "torch_threads": "threads that PyTorch computed with",
    "torch_device": "device of the computation",
    "is_deterministic": "deterministic algorithms asked for",
    "is_mixed_precision": "mixed precision",
    "n_loader_workers": "processes that loaded images",
    "start_weights": "weights it started from",
    "batch_size": "images per batch",
    "n_train_images": "training images of an epoch",
    "n_val_images": "validation images",
}
"""Details of an engine's last line that decide its numbers, in words."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One training's circumstances. An empty text, list or mapping means: nobody recorded it."""

    python: str
    system: str
    cpu: str
    instructions: list[str]
    gpus: list[str]
    threads: int
    seed: int
    engine: str
    """Name and distribution of the engine."""
    engine_version: str
    """What the engine says of itself."""
    distributions: dict[str, str]
    contents: dict[str, str]
    code: str
    """Commit the engine ran from, empty when it ran as installed packages."""
    lost_changes: bool
    """Whether the code had changes beyond the commit of which no patch was kept."""
    numerics: dict[str, str]
    """By the names of `NUMERICS`, as the engine told them."""
    attempts: int
    resumed_at_epoch: int | None
    """Where the engine went on from a checkpoint; None for a training in one piece."""
    nondeterministic: list[str]
    """Operators that the engine's log says have no deterministic implementation."""
    n_erased: int
    """Samples of the commit that were erased by the time of this training."""


def facts_of(run: Run, environment: Environment, *, log: str) -> Facts:
    """What the record says of a finished run."""
    inputs = run.training
    ran_from_checkout = bool(environment.sources)
    return Facts(
        python=environment.python,
        system=environment.system,
        cpu=environment.hardware.cpu,
        instructions=environment.hardware.instructions,
        gpus=environment.hardware.gpus,
        threads=inputs.threads,
        seed=inputs.seed,
        engine=f"{inputs.engine} {inputs.engine_version}".strip(),
        engine_version=run.outputs.get("engine_version", ""),
        distributions=environment.distributions,
        contents=environment.contents,
        code=(inputs.code.commit or "") if ran_from_checkout else "",
        lost_changes=ran_from_checkout and inputs.code.dirty and inputs.code.patch is None,
        numerics=numerics_in(
            {
                name.removeprefix(_DETAILS): value
                for name, value in run.outputs.items()
                if name.startswith(_DETAILS)
            }
        ),
        attempts=run.attempts,
        resumed_at_epoch=resumed_at(run.outputs.get(f"{_DETAILS}resumed_at_epoch", "")),
        nondeterministic=operators_without_determinism(log),
        n_erased=0,
    )


def numerics_in(details: dict[str, str]) -> dict[str, str]:
    """Those of the details that decide numbers."""
    return {name: details[name] for name in NUMERICS if name in details}


def resumed_at(text: str) -> int | None:
    """The epoch an engine says it went on from; None when it says none."""
    return int(text) if text.isdigit() else None


def operators_without_determinism(log: str) -> list[str]:
    """The operators PyTorch warns of in an engine's log, each once, by name.

    >>> operators_without_determinism("UserWarning: upsample_backward does not have a "
    ...     "deterministic implementation, but you set ...")
    ['upsample_backward']
    """
    return sorted(set(_NO_DETERMINISM.findall(log)))
