"""Files that a run or a logged model left: names for blobs."""

from __future__ import annotations

from sqlalchemy import delete, select

from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.tracking.tables import artifacts
from sightloop.tracking.upserts import replace_rows
from sightloop.tracking.values import RunArtifact


def record_artifact(tx: Tx, owner: str, name: str, *, digest: Digest, size_bytes: int) -> None:
    """Name a stored blob as the owner's artifact; the same name again points to the newer blob."""
    row = {"owner": owner, "name": name, "digest": digest, "size_bytes": size_bytes}
    replace_rows(tx, artifacts, [row])


def find_artifact(tx: Tx, owner: str, name: str) -> RunArtifact | None:
    """The artifact of that name."""
    mine = (artifacts.c.owner == owner) & (artifacts.c.name == name)
    row = tx.execute(_QUERY.where(mine)).mappings().first()
    return None if row is None else RunArtifact(**row)


def artifacts_of(tx: Tx, owner: str) -> dict[str, Digest]:
    """The blobs of the owner's artifacts by name."""
    return {artifact.name: artifact.digest for artifact in list_artifacts(tx, owner)}


def list_artifacts(tx: Tx, owner: str, *, below: str = "") -> list[RunArtifact]:
    """The owner's artifacts by name; those in the folder `below`, at any depth."""
    mine = artifacts.c.owner == owner
    if below:
        # "0" is the character after "/", so this is every name that begins with the folder.
        mine &= (artifacts.c.name >= f"{below}/") & (artifacts.c.name < f"{below}0")
    rows = tx.execute(_QUERY.where(mine).order_by(artifacts.c.name))
    return [RunArtifact(**row) for row in rows.mappings()]


def forget_artifacts(tx: Tx, owner: str, *, names: list[str] | None = None) -> None:
    """Remove names; all of the owner's when none are given. The blobs stay."""
    mine = artifacts.c.owner == owner
    if names is not None:
        mine &= artifacts.c.name.in_(names)
    tx.execute(delete(artifacts).where(mine))


_QUERY = select(artifacts.c.name, artifacts.c.digest, artifacts.c.size_bytes)
