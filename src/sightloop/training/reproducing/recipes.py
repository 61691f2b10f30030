"""From what a run recorded back to the request that made it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sightloop.tracking.values import Run
from sightloop.training.reproducing.errors import NoRecipe
from sightloop.training.requests import TrainRequest

_OWN = "parameters."
_REPEATS = "repeats."


def request_of(run: Run) -> TrainRequest:
    """The request that this training was, word for word.

    Raises:
        NoRecipe: the record lacks a setting, or holds one that cannot be read.
    """
    recorded = run.training.parameters
    try:
        return TrainRequest(
            run=run.id,
            experiment=run.experiment,
            name=run.name,
            dataset_commit=run.training.dataset_commit,
            engine=run.training.engine,
            seed=run.training.seed,
            parameters={
                name: msgspec.json.decode(value) for name, value in _below(recorded, _OWN).items()
            },
            repeats={name: int(value) for name, value in _below(recorded, _REPEATS).items()},
            weights=recorded["weights"],
            device=recorded["device"],
            epochs=int(recorded["epochs"]),
            image_size_px=int(recorded["image_size_px"]),
            batch_size=int(recorded["batch_size"]),
            parity_images=int(recorded["parity_images"]),
        )
    except (KeyError, ValueError, msgspec.DecodeError) as error:
        why = f"its record cannot be read ({type(error).__name__}: {error})"
        raise NoRecipe(what=f"run {run.id}", why=why) from error


def _below(recorded: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {
        name.removeprefix(prefix): value
        for name, value in recorded.items()
        if name.startswith(prefix)
    }
