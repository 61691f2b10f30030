"""What can keep an evaluation or a comparison from meaning anything.

Refused
└── NothingToEvaluate   EVAL-001   choose other splits, or label some of their images

BadInput
├── ImagesDiffer        EVAL-010   evaluate both models on the same commit and splits
└── NoObjects           EVAL-011   compare on images that show something
"""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, Refused


class NothingToEvaluate(Refused):
    """The commit has no labelled image in the splits that were asked for."""

    code = "EVAL-001"

    def __init__(self, *, commit: str, splits: list[str]) -> None:
        super().__init__(
            f"commit {commit} has no labelled image in {', '.join(splits) or 'no split at all'}; "
            "choose other splits, or label some of their images",
            commit=commit,
            splits=splits,
        )


class ImagesDiffer(BadInput):
    """Two lists of answers are not about the same images with the same labels."""

    code = "EVAL-010"

    def __init__(self, *, image: str, difference: str) -> None:
        super().__init__(
            f"the two models cannot be compared: image {image} {difference}; "
            "evaluate both on the same commit and splits",
            image=image,
            difference=difference,
        )


class NoObjects(BadInput):
    """None of the images shows an object, so there is no precision to speak of."""

    code = "EVAL-011"

    def __init__(self, *, n_images: int) -> None:
        super().__init__(
            f"none of the {n_images} images shows a labelled object; "
            "compare on images that show something",
            n_images=n_images,
        )
