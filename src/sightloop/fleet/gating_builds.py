"""Builds of a version are judged, signed by its owner, and seen by devices.

A device takes the list with the metadata it looks at anyway. It then tunes itself: a gated build
still has to be made there, see what the golden images promise, and be the fastest.
"""

from __future__ import annotations

import msgspec

from sightloop.contracts.builds import BuildReport
from sightloop.contracts.gated_builds import GatedBuild
from sightloop.evaluation.build_gate import DeviceWord
from sightloop.fleet import store
from sightloop.fleet.update_repository import publish
from sightloop.kernel.actors import Permission, require, step_actor
from sightloop.kernel.steps import Outcome, Step
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store as registry
from sightloop.registry.build_gating import GateBuilds, judge_builds
from sightloop.registry.build_verdicts import BuildVerdict
from sightloop.registry.revoking import write_owner_metadata
from sightloop.registry.signing import owner_signer
from sightloop.registry.update_metadata import Lifetimes, MetadataFolder, update_metadata_folder
from sightloop.registry.values import ModelName, ModelVersion


class BuildsGated(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate said of each build."""

    version: ModelVersion
    verdicts: list[BuildVerdict]
    is_published: bool
    """Devices can see the list; False while the version itself is not signed: signing it takes the
    list along."""


def gate_builds(workspace: Workspace, call: Call, request: GateBuilds) -> BuildsGated:
    """Each build has a verdict, and devices know those of a signed version. Safe to repeat.

    Raises:
        NotAllowed: the actor may not evaluate, or not sign.
        NotFound, VersionRevoked, NoDatasetCommit, NoSuchRef, NothingToEvaluate, RuntimeMissing,
            ForeignModel, BlobMissing, BlobDamaged: see `judge_builds`.
        OwnerKeyMissing, OwnerKeyForeign: the model's private key is not on this host; the
            verdicts stand, and the next signature of any version of the model takes them along.
        UpdateMetadataDamaged: what the owner signed before is not what is there now.
        RepositoryMissing, RepositoryKeyMissing: nothing can be published here.
    """
    require(call.actor, Permission.EVALUATE)
    require(call.actor, Permission.SIGN)
    words = _Words(workspace, request.model)
    verdicts = judge_builds(workspace, call, request, words=words.of)
    with workspace.db.read() as tx:
        version = registry.get_version(tx, request.model, request.number)
    if version.signed_at_ms is None or version.revoked_at_ms is not None:
        return BuildsGated(version=version, verdicts=verdicts, is_published=False)
    folder = MetadataFolder(update_metadata_folder(workspace))
    with folder.locked():
        signer = owner_signer(workspace, version.model)
        write_owner_metadata(workspace, folder, version.model, [signer], lifetimes=Lifetimes())
    publish(workspace)
    return BuildsGated(version=version, verdicts=verdicts, is_published=True)


def gate_builds_step(workspace: Workspace, step: Step, control: StepControl) -> Outcome:
    """Step handler of `gate_builds`; inputs are the request's fields.

    Raises:
        Interrupted: the worker was told to stop.
    """
    # Repeatable as a whole, so it needs no record of its own in the step's last transaction.
    request = msgspec.convert(step.inputs, GateBuilds)
    done = gate_builds(workspace, Call(step_actor(step.name), control.progress_of(step)), request)
    return Outcome({"outcomes": [one.verdict.outcome for one in done.verdicts]})


class _Words:
    """What devices said of builds in their last check-in."""

    def __init__(self, workspace: Workspace, model: str) -> None:
        with workspace.db.read() as tx:
            devices = {slot.device for slot in store.slots_of_model(tx, ModelName(model))}
            self._reports = store.reports(tx, devices)
            self._classes = store.device_classes(tx)

    def of(self, version: ModelVersion, build: GatedBuild) -> list[DeviceWord]:
        """One word for each device of the class that measured this very build."""
        return [
            DeviceWord(device=device, problem=_problem(told))
            for device, report in sorted(self._reports.items())
            if build.device_class in ("", self._classes.get(device))
            for slot in report.check_in.slots
            if slot.running == version.bundle
            and (told := [one for one in slot.builds if _is_about(one, build)])
        ]


def _is_about(report: BuildReport, build: GatedBuild) -> bool:
    return (report.runtime, report.precision, report.images) == (
        build.runtime,
        build.precision,
        build.images,
    )


def _problem(told: list[BuildReport]) -> str:
    return next((words for words in map(_words, told) if words), "")


def _words(report: BuildReport) -> str:
    # Before eight bits were gated, a device holds them to the released file: the gate does better.
    held_to_its_own = report.precision == "fp32" or report.is_gated
    return report.problem or (report.golden_problem if held_to_its_own else "")
