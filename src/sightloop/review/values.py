"""Tasks and their labels, as the other rooms read them."""

from __future__ import annotations

from typing import Literal

import msgspec

from sightloop.contracts.bundle import Detection
from sightloop.contracts.telemetry import Lane
from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.values import ClassId
from sightloop.kernel.digests import Digest
from sightloop.telemetry.values import StreamKey

Purpose = Literal["audit", "train"]
"""What the labels are for: to measure the model, or to teach the next one. Never both."""

TaskState = Literal["flagged", "open", "done", "skipped", "withdrawn"]
"""flagged: chosen, and not asked of anyone yet; open: waits for labels; done: has them;
skipped: somebody could not tell, another may; withdrawn: no longer wanted."""

Work = Literal["label", "opinion"]
"""What is asked of a person: the labels of an open task, or a second opinion on labels."""

HUMAN = "human:"
"""How the source of labels begins that a person made; the actor's id follows."""

AUDIT_PRIORITY = 2.0
"""Above every other task's, which are at most 1: audits are what makes the numbers honest."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A kept image that a person should label; there is at most one per kept image.

    `prelabels` are what the device's bundle reported, with class indices of that bundle; a blind
    task has none. `incident` is the one it was chosen for, `opened_for` the one that had it opened.
    `note` says why it was skipped or withdrawn.
    """

    id: str
    kept: str
    purpose: Purpose
    state: TaskState
    priority: float
    incident: str | None
    opened_for: str | None
    blind: bool
    prelabels: list[Detection]
    image: Digest
    width_px: int
    height_px: int
    media_type: str
    device: str
    stream: str
    bundle: Digest
    group: str
    lane: Lane
    inclusion_probability: float
    captured_at_ms: int
    created_at_ms: int
    changed_at_ms: int
    note: str = ""

    @property
    def camera(self) -> StreamKey:
        """The stream its image came from."""
        return StreamKey(self.device, self.stream)


class TaskFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks are meant: those in one state; None matches every value."""

    state: TaskState = "open"
    purpose: Purpose | None = None
    lane: Lane | None = None
    incident: str | None = None
    device: str | None = None
    stream: str | None = None


class LabelBox(msgspec.Struct, frozen=True, array_like=True):
    """One labelled object on the upright image."""

    class_id: ClassId
    box: BoxPx


class TaskLabels(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody saw on a task's image. Labels are saved once and never change.

    `labelled_for` are the classes that were looked for: all of the branch's taxonomy at that time.
    `blind` says that the labeller saw no pre-labels. `duration_ms` is None where nobody took the
    time. `commit` is the first data set version that holds them, None before. `number` grows in
    the order of saving and is given by the store.
    """

    task: str
    purpose: Purpose
    branch: str
    boxes: list[LabelBox]
    slices: dict[str, str]
    strata: list[str]
    split_key: str | None
    blind: bool
    source: str
    labelled_by: str
    labelled_at_ms: int
    duration_ms: int | None
    labelled_for: list[ClassId]
    commit: Digest | None = None
    number: int = 0


class LabelCount(msgspec.Struct, frozen=True, kw_only=True):
    """Verified labels of one stratum and purpose."""

    stratum: str
    purpose: Purpose
    n_images: int
    n_boxes: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody works on a task until then, unless the lease is renewed.

    Whoever holds the lease may give it back; an older one gives nothing back, so that a page that
    is left late does not free what another page of the same person has taken since.
    """

    task: str
    held_by: str
    lease: str
    until_ms: int


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What a second person saw on a labelled image, without having seen the labels.

    It never changes the labels. `agreement` and `mean_iou` are of `agreement.compare`.
    """

    task: str
    boxes: list[LabelBox]
    given_by: str
    given_at_ms: int
    duration_ms: int | None
    agreement: float
    mean_iou: float | None


class ProgressCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks of a purpose stand in a state."""

    purpose: Purpose
    state: TaskState
    n_tasks: int
