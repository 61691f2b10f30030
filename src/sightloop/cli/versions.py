"""How commands name a version of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sightloop.cli.command import Session

if TYPE_CHECKING:
    from sightloop.registry.values import ModelVersion

Version = Annotated[str, typer.Argument(help="MODEL@NUMBER or MODEL@ALIAS.")]


def named_version(session: Session, version: str) -> ModelVersion:
    """The version that was packaged under this name.

    Raises:
        BadVersionReference: it is no name of a version.
        NotFound: there is none.
    """
    from sightloop.registry.card import ModelCard
    from sightloop.registry.catalogue import ShowVersion

    return session.call("models.show", ShowVersion(version=version), ModelCard).version
