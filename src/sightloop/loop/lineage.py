"""Where a version comes from and where it went, link by link, for a picture of the whole way.

The short sibling of `evidence`: it names the links and reads no pixel.
"""

from __future__ import annotations

import msgspec

from sightloop.datasets.samples import load_commit
from sightloop.fleet import rollout_store
from sightloop.fleet import store as fleet
from sightloop.fleet.rollout import RolloutState
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop.turns import Turn, list_turns
from sightloop.registry import store as registry
from sightloop.registry.values import Approval, ModelVersion, VerdictRecord
from sightloop.tracking import store as tracking

N_ROLLOUTS = 200


class ShowLineage(msgspec.Struct, frozen=True, kw_only=True):
    """Of which version."""

    model: str
    number: int


class RolloutLink(msgspec.Struct, frozen=True, kw_only=True):
    """A release of the version."""

    rollout: str
    state: RolloutState
    started_at_ms: int


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """The links from images to devices."""

    version: ModelVersion
    commit: Digest | None
    """None when nobody recorded it."""
    n_samples: int
    run: str
    run_state: str
    turn: Turn | None
    """The time round the loop it was made in; None when a person made it by hand."""
    verdict: VerdictRecord | None
    approval: Approval | None
    rollouts: list[RolloutLink]
    """Newest first."""
    n_devices: int
    """Devices that are to run it now."""


class CountServing(msgspec.Struct, frozen=True, kw_only=True):
    """Of which model."""

    model: str


class ServingCounts(msgspec.Struct, frozen=True, kw_only=True):
    """By version number, how many devices are to run it now; versions without any are left out."""

    devices: dict[int, int]


def show_lineage(workspace: Workspace, call: Call, request: ShowLineage) -> Lineage:
    """Every link of the version's way.

    Raises:
        NotAllowed: the actor may not read.
        NotFound: there is no such version.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        version = registry.get_version(tx, request.model, request.number)
        run = tracking.find_run(tx, version.run)
        turns = [turn for turn in list_turns(tx, model=version.model) if turn.run == run.id]
        found = rollout_store.rollouts(tx, model=version.model, limit=N_ROLLOUTS)
        return Lineage(
            version=version,
            commit=version.dataset_commit,
            n_samples=load_commit(tx, version.dataset_commit).n_samples
            if version.dataset_commit
            else 0,
            run=run.id,
            run_state=run.state,
            turn=turns[-1] if turns else None,
            verdict=registry.latest_verdict(tx, version.model, version.number),
            approval=registry.find_approval(tx, version.model, version.number),
            rollouts=[
                RolloutLink(rollout=one.id, state=one.state, started_at_ms=one.started_at_ms)
                for one in found
                if one.number == version.number
            ],
            n_devices=fleet.count_assigned(tx, version.model).get(version.number, 0),
        )


def count_serving(workspace: Workspace, call: Call, request: CountServing) -> ServingCounts:
    """How many devices are to run each version of the model.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        return ServingCounts(devices=fleet.count_assigned(tx, request.model))
