"""What can be wrong with an image, a model file or a list of measured values.

BadInput
├── UnreadableImage   INFER-001   replace the image file
├── ForeignModel      INFER-010   export the model again
├── ModelMismatch     INFER-011   package the model again
├── BrokenAnswer      INFER-012   the model computes nonsense: train or export it again
└── NoValues          INFER-020   measure something first
"""

from __future__ import annotations

from sightloop.kernel.errors import BadInput


class UnreadableImage(BadInput):
    """The bytes are no whole image of a kind Sightloop reads."""

    code = "INFER-001"

    def __init__(self, *, name: str, problem: str) -> None:
        super().__init__(
            f"image {name} cannot be read: it {problem}; replace the file, or leave it out",
            name=name,
            problem=problem,
        )


class ForeignModel(BadInput):
    """The file is not a model whose inputs and outputs Sightloop understands."""

    code = "INFER-010"

    def __init__(self, *, file: str, problem: str, remedy: str) -> None:
        super().__init__(
            f"model file {file} cannot be used: {problem}; {remedy}",
            file=file,
            problem=problem,
            remedy=remedy,
        )


class ModelMismatch(BadInput):
    """A model file is fine in itself but not the one its bundle describes."""

    code = "INFER-011"

    def __init__(self, *, file: str, what: str, wanted: str, found: str) -> None:
        super().__init__(
            f"the bundle promises {what} {wanted}, but model file {file} has {found}; "
            "package the run again",
            file=file,
            what=what,
            wanted=wanted,
            found=found,
        )


class BrokenAnswer(BadInput):
    """A model answered with numbers that cannot be scores, boxes or classes."""

    code = "INFER-012"

    def __init__(self, *, problem: str) -> None:
        super().__init__(
            f"the model answered with {problem}; train or export it again", problem=problem
        )


class NoValues(BadInput):
    """Nothing was measured, so there is no distribution to speak of."""

    code = "INFER-020"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"{what}: there is no finite value to go by; measure at least one image", what=what
        )
