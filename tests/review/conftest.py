"""A small factory: a branch with two classes, one bundle, and a device that keeps images."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from sightloop.contracts.bundle import Bundle, Detection, ModelInput, Reference, Thresholds
from sightloop.contracts.decode import encode
from sightloop.contracts.profile import Profile
from sightloop.contracts.telemetry import Envelope, KeptImageBody, ProfileBody, TelemetryBatch
from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.values import Sample, sample_id
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.digests import digest_of
from sightloop.kernel.events import Event, history
from sightloop.kernel.ids import derived_id
from sightloop.kernel.workspace import Call, Workspace
from sightloop.review.boxes import TaskBox
from sightloop.review.flagging import OpenAuditTasks, open_audit_tasks
from sightloop.review.labelling import SubmitLabels, Submitted, submit_labels
from sightloop.review.tasks import find_task
from sightloop.review.values import Task
from sightloop.telemetry.services import store_batch, store_upload
from sightloop.telemetry.values import StreamKey

WIDTH_PX, HEIGHT_PX = 40, 30
DENT = Detection(0, 0.9, 2.0, 2.0, 12.0, 12.0)
FAINT = Detection(1, 0.1, 20.0, 5.0, 30.0, 15.0)


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def person(name: str, role: Role = Role.ANNOTATOR) -> Call:
    return Call(Actor(ActorId(name), "person", role))


def box(class_name: str = "dent", corners=(2, 2, 12, 12)) -> TaskBox:
    x1, y1, x2, y2 = corners
    return TaskBox(class_name=class_name, x1=x1, y1=y1, x2=x2, y2=y2)


class Factory:
    """What happened before anybody labels; every method acts through the public services."""

    loop = person("loop", Role.APPROVER)
    ann = person("ann")
    ben = person("ben")
    camera = StreamKey("dev_1", "cam")

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._n_sent = 0
        bundle = Bundle(
            model="parts",
            class_ids=["dent", "scratch"],
            class_names=["dent", "scratch"],
            input=ModelInput(32, 32),
            head="raw",
            thresholds=Thresholds(score=0.5),
            model_file="model.onnx",
            files=[],
            golden=[],
            reference=Reference([], {}),
            declared_licence="Apache-2.0",
            engine="none",
            dataset_commit=digest_of(b"commit"),
            run="run_1",
            created_at_ms=0,
        )
        self.bundle = workspace.blobs.put(encode(bundle))
        self.device = Call(Actor(ActorId("dev_1"), "device", Role.DEVICE))
        self.commit_image(0, new_classes=["dent", "scratch"])

    def commit_image(self, seed: int, *, new_classes=(), split_key: str | None = None) -> None:
        """Somebody adds an image to branch main, without boxes."""
        image = self.workspace.blobs.put(picture(seed))
        sample = Sample(
            id=sample_id(image, None),
            image=image,
            width_px=WIDTH_PX,
            height_px=HEIGHT_PX,
            media_type="image/png",
            file_name=f"{seed}.png",
            split_key=split_key or image,
        )
        request = CommitSamples(
            branch="main", message="an image", upserts=[sample], new_classes=list(new_classes)
        )
        commit_samples(self.workspace, person("eve", Role.ENGINEER), request)

    def keep(self, seed: int, **changes: object) -> str:
        """The device keeps a picture; returns the kept image's id."""
        content = picture(seed)
        digest = digest_of(content)
        store_upload(self.workspace, self.device, digest=digest, content=content)
        values = {
            "stream": "cam",
            "slot": "main",
            "bundle": self.bundle,
            "image": digest,
            "group": "",
            "captured_at_ms": 1000 + self._n_sent,
            "lane": "audit",
            "inclusion_probability": 0.25,
            "uncertainty": 0.5,
            "descriptor": [math.cos(seed), math.sin(seed)],
            "detections": [DENT, FAINT],
        }
        return derived_id("kept", "dev_1", str(self._send(KeptImageBody(**(values | changes)))))

    def point_at(self, stratum: str) -> None:
        """The stream's profiles say what it is pointed at."""
        profile = Profile(
            device="dev_1",
            stream="cam",
            slot="main",
            bundle=self.bundle,
            stratum=stratum,
            started_at_ms=0,
            ended_at_ms=1,
            n_images=0,
            counts={},
            class_counts=[],
            dependence={},
        )
        self._send(ProfileBody(profile))

    def audit_task(self, seed: int = 1, **changes: object) -> Task:
        """A task for a picture the audit lane kept."""
        kept = self.keep(seed, **changes)
        made = open_audit_tasks(self.workspace, self.loop, OpenAuditTasks(kept=[kept]))
        return self.task(made.tasks[0])

    def task(self, task: str) -> Task:
        with self.workspace.db.read() as tx:
            return find_task(tx, task)

    def submit(self, task: str, *boxes: TaskBox, by: Call | None = None, **more) -> Submitted:
        request = SubmitLabels(task=task, boxes=list(boxes), **more)
        return submit_labels(self.workspace, by or self.ann, request)

    def told(self, kind: str) -> list[Event]:
        with self.workspace.db.read() as tx:
            return [event for event in history(tx) if event.kind == kind]

    def _send(self, body) -> int:
        self._n_sent += 1
        envelope = Envelope(device="dev_1", sequence=self._n_sent, at_ms=0, body=body)
        reply = store_batch(self.workspace, self.device, TelemetryBatch(envelopes=[envelope]))
        assert reply.stored == [self._n_sent]
        return self._n_sent


@pytest.fixture
def factory(workspace: Workspace) -> Factory:
    return Factory(workspace)
