"""The rules of the loop as people write them: `loop.yaml`, one entry per model.

Every value is bounded and has a default, and a key that is not known is refused, so that a typing
error never means "never retrain". docs/reference/policy.md is checked against this file.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sightloop.contracts.bundle import RuntimeName
from sightloop.evaluation.gate import GateRules
from sightloop.fleet.health import HealthCriteria
from sightloop.loop.errors import BadPolicy
from sightloop.loop.policy_places import failing_model, line_of
from sightloop.monitoring.settings import MonitorSettings

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
PositiveCount = Annotated[int, Meta(ge=1, le=1_000_000)]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to train: what an engine is asked, whoever starts it."""

    engine: str = "yolo26"
    """An installed engine, or one of `[training.commands]`."""
    weights: str = "starter"
    """`starter`, an architecture, a file, or `champion`: the checkpoint of the serving version."""
    epochs: PositiveCount = 20
    """How often each image is shown."""
    image_size_px: Annotated[int, Meta(ge=32, le=8192, multiple_of=32)] = 640
    """Side of the square input of training and of the exported file."""
    batch_size: PositiveCount = 16
    seed: Count = 0
    """Equal seeds, data and versions train equal models."""
    parameters: dict[str, Any] = {}
    """The engine's own settings, by its names."""


class KeepRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every stream of the model keeps while all is well."""

    audit_rate: Share = 0.02
    """Share of images kept at random for labelling: what makes every number honest."""
    uncertain_per_hour: Count = 20
    """At most so many images per hour on which the model was unsure."""
    window_images: PositiveCount = 100
    window_s: Annotated[float, Meta(gt=0, le=86400)] = 3600.0
    """A profile window closes at whichever comes first."""


class InputIncidentRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an input incident does; it never retrains, for a model may be right on new inputs.

    First its stream is audited, to learn whether the model is wrong. Once a loss incident says so,
    the audit falls back and images are kept to learn from; once they are enough, the stream is
    audited again, to judge the new version by.
    """

    audit_rate: Share = 0.2
    """The audit lane's rate on the incident's stream while the model is measured."""
    drift_rate: Share = 1.0
    """Which share of the images that are not audited is kept as candidates for labelling."""
    flag: Count = 100
    """How many of them are flagged, the most useful first."""


class RetrainRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a loss incident or a pile of labels leads to a new version, and what it may cost."""

    on_loss_incident: bool = True
    """Whether a rise of the audited loss that is certain starts a turn."""
    after_labels: Count = 500
    """Verified images of one stratum since the last training that start a turn; 0 means never."""
    evidence_labels: PositiveCount = 25
    """How many more audited images an inconclusive verdict waits for before the gate is asked
    again."""
    max_verdicts: PositiveCount = 4
    """After so many inconclusive verdicts the version is refused."""
    label_budget: Count = 100
    """Flagged images to be labelled before training starts; the turn waits for them."""
    collect_limit_s: Annotated[float, Meta(gt=0, le=31_536_000)] = 604_800.0
    """After so long without enough images the turn trains on what was labelled, or gives up when
    nothing was. It always waits for people who have been asked."""
    retire_audit: Share = 0.5
    """Which share of the audited parts of the stratum that went wrong joins the training set. They
    are labelled already and chosen by chance, which no other image is; the rest stays behind to
    judge the new version."""
    repeat: Annotated[int, Meta(ge=1, le=100)] = 3
    """How often an epoch shows an image of the stratum that went wrong."""
    recipe: Recipe = Recipe(weights="champion")


class ModelPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything the loop needs to know about one model."""

    branch: str = "main"
    """The dataset branch that is trained on and that labels are committed to."""
    recipe: Recipe = Recipe()
    """For the first version, and for turns a person asks for."""
    keep: KeepRules = KeepRules()
    monitoring: MonitorSettings = MonitorSettings()
    on_input_incident: InputIncidentRules = InputIncidentRules()
    retrain: RetrainRules = RetrainRules()
    gate: GateRules = GateRules()
    """What a version must prove; the stratum that went wrong is added to `better_on`."""
    gate_builds: tuple[RuntimeName, ...] = ()
    """Other runtimes whose builds are put before their gate, with fp32 and int8, when a version was
    signed; the release does not wait for them."""
    protect: dict[str, Share] = {}
    """By slice field: how much AP50 may fall on each of its strata that the champion knows."""
    approve: bool = False
    """Whether a person must approve a version that passed its gate before it is signed and
    released."""
    rings: tuple[str, ...] = ("canary", "fleet")
    """In which order devices get a release."""
    health: HealthCriteria = HealthCriteria()


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of `loop.yaml`."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    models: dict[str, ModelPolicy] = {}


def parse_policy(text: str, *, where: str) -> Policy:
    """The policy in this YAML text.

    Raises:
        BadPolicy: not YAML, an unknown key, or a value out of bounds; names the place.
    """
    try:
        return msgspec.yaml.decode(text, type=Policy)
    except msgspec.DecodeError as error:  # a ValidationError is one as well
        problem = " ".join(str(error).split())
        raise BadPolicy(where=_place(text, problem, where=where), problem=problem) from error


def _place(text: str, problem: str, *, where: str) -> str:
    """The file and, when the decoder names no line itself, the line of what it complains about."""
    if "$" not in problem:
        return where
    model = failing_model(msgspec.yaml.decode(text), ModelPolicy)
    line = line_of(text, problem, model=model)
    return where if line is None else f"{where}, line {line}"
