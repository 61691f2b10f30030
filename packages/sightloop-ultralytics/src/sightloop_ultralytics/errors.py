"""Why the engine cannot do a job. Each becomes the `failed` line with its code and message."""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, Refused, Unavailable


class UnknownParameter(BadInput):
    """A parameter is neither Ultralytics' nor this engine's."""

    code = "ENGINE-001"

    def __init__(self, *, name: str, similar: list[str]) -> None:
        hint = f"did you mean {' or '.join(similar)}?" if similar else "nothing is named alike"
        super().__init__(
            f"parameter {name!r} is unknown to Ultralytics and to this engine; {hint}",
            name=name,
            similar=similar,
        )


class OwnedParameter(BadInput):
    """A parameter is decided by the job itself, or would lead out of its folder."""

    code = "ENGINE-002"

    def __init__(self, *, name: str, instead: str) -> None:
        super().__init__(f"parameter {name!r} cannot be set: {instead}", name=name, instead=instead)


class BadParameter(BadInput):
    """A parameter has a value that cannot be used."""

    code = "ENGINE-003"

    def __init__(self, *, problem: str) -> None:
        super().__init__(f"a parameter has a wrong value: {problem}", problem=problem)


class NoImages(BadInput):
    """A split of the view is empty."""

    code = "ENGINE-010"

    def __init__(self, *, split: str) -> None:
        super().__init__(
            f"the view has no image in its {split} split; YOLO26 needs some in train and in val",
            split=split,
        )


class NoLabels(BadInput):
    """There are images to train on, but nothing is labelled on any of them."""

    code = "ENGINE-011"

    def __init__(self, *, n_images: int) -> None:
        super().__init__(
            f"none of the {n_images} training images has a labelled object; label some first",
            n_images=n_images,
        )


class ImagesRefused(BadInput):
    """Ultralytics would leave out images that the job wants it to train on."""

    code = "ENGINE-012"

    def __init__(self, *, n_refused: int, n_images: int) -> None:
        super().__init__(
            f"Ultralytics refuses {n_refused} of {n_images} images (smaller than 10 px, or of a "
            "kind it cannot read); engine.log names them - take them out of the commit",
            n_refused=n_refused,
            n_images=n_images,
        )


class WeightsUnknown(BadInput):
    """The weights are no file, no architecture and nothing Ultralytics publishes."""

    code = "ENGINE-020"

    def __init__(self, *, weights: str, similar: list[str]) -> None:
        near = f" (did you mean {' or '.join(similar)}?)" if similar else ""
        super().__init__(
            f"weights {weights!r} are neither a file nor anything Ultralytics ships or "
            f"publishes{near}; 'starter' is always there, 'yolo26n.yaml' starts from nothing",
            weights=weights,
            similar=similar,
        )


class WeightsOutOfReach(Unavailable):
    """Published weights were asked for by name and could not be downloaded."""

    code = "ENGINE-021"

    def __init__(self, *, weights: str, url: str, problem: str) -> None:
        super().__init__(
            f"weights {weights!r} could not be fetched from {url} ({problem}); without a network "
            "use 'starter', which comes with this engine, or the path of a file",
            weights=weights,
            url=url,
            problem=problem,
        )


class WeightsDamaged(BadInput):
    """A file does not hold weights that Ultralytics can load."""

    code = "ENGINE-022"

    def __init__(self, *, weights: str, problem: str) -> None:
        super().__init__(
            f"weights {weights} cannot be loaded ({problem}); is it a whole .pt file written by "
            "Ultralytics?",
            weights=weights,
            problem=problem,
        )


class WrongTask(BadInput):
    """The weights belong to a model that does something else."""

    code = "ENGINE-023"

    def __init__(self, *, weights: str, task: str) -> None:
        super().__init__(
            f"weights {weights} are for the task {task!r}; this engine trains 'detect'",
            weights=weights,
            task=task,
        )


class MemoryExhausted(Refused):
    """There was no memory left for what the job asks."""

    code = "ENGINE-030"

    def __init__(self, *, problem: str, batch_size: int, image_size_px: int) -> None:
        super().__init__(
            f"out of memory with batch_size {batch_size} and image_size_px {image_size_px} "
            f"({problem}); make one of them smaller",
            problem=problem,
            batch_size=batch_size,
            image_size_px=image_size_px,
        )
