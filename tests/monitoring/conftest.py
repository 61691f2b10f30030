"""A plant with one released bundle: its devices send windows, images and get labels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import msgspec
import numpy as np
import pytest

from sightloop.contracts.bundle import (
    Bundle,
    ModelInput,
    Reference,
    ReferenceLoss,
    ReferenceMeasure,
    Thresholds,
    bundle_digest,
)
from sightloop.contracts.decode import encode
from sightloop.contracts.profile import Dependence, Profile
from sightloop.contracts.telemetry import Envelope, KeptImageBody, ProfileBody, TelemetryBatch
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.ids import derived_id
from sightloop.kernel.workspace import Call, Workspace
from sightloop.monitoring.advance import Advanced, AdvanceMonitors, advance_monitors
from sightloop.monitoring.evidence import Incident
from sightloop.monitoring.incidents import (
    ListIncidents,
    ListMonitors,
    list_incidents,
    list_monitors,
)
from sightloop.monitoring.monitors import Monitor
from sightloop.monitoring.settings import MonitorSettings
from sightloop.telemetry.services import store_batch, store_upload
from sightloop.telemetry.store import record_loss
from sightloop.telemetry.values import AuditedLoss
from sightloop.testing.workspaces import LOCAL_CALL

N_BINS = 20
EDGES = [i / N_BINS for i in range(1, N_BINS)]
USUAL = [5] * N_BINS
DARK = [10] + [0] * (N_BINS - 1)
SETTINGS = MonitorSettings(n_streams=2, horizon_windows=200, horizon_labels=200)


def a_bundle(name: str = "pcb") -> Bundle:
    counts = {"": [10] * N_BINS, "line=a": USUAL, "line=b": USUAL, "line=rare": [1] * 10 + [0] * 10}
    measures = [ReferenceMeasure(name, EDGES, counts) for name in ("brightness", "contrast")]
    losses = {"": ReferenceLoss(200, 0.1, 0.2), "line=a": ReferenceLoss(100, 0.1, 0.2)}
    return Bundle(
        model=name,
        class_ids=["c"],
        class_names=["scratch"],
        input=ModelInput(32, 32),
        head="raw",
        thresholds=Thresholds(0.25),
        model_file="model.onnx",
        files=[],
        golden=[],
        reference=Reference(measures, losses),
        declared_licence="",
        engine="test",
        dataset_commit=digest_of(b"commit"),
        run="run_1",
        created_at_ms=0,
    )


class Plant:
    """Sends what devices would, when `send` or `advance` is called; a second passes per message."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.bundle = self.release(a_bundle())
        self._sequence = 0
        self._envelopes: dict[str, list[Envelope]] = {}
        self._losses: list[AuditedLoss] = []

    def release(self, bundle: Bundle) -> Digest:
        self.workspace.blobs.put(encode(bundle))
        return bundle_digest(bundle)

    def window(self, brightness: Sequence[int] = USUAL, **changes: object) -> None:
        """One profile of `dev_1` / `cam`; contrast is as usual unless counts are given."""
        n_images = sum(brightness)
        at_ms = self._next_ms()
        profile = Profile(
            device="dev_1",
            stream="cam",
            slot="main",
            bundle=self.bundle,
            stratum="line=a",
            started_at_ms=at_ms - 1000,
            ended_at_ms=at_ms,
            n_images=n_images,
            counts={"brightness": list(brightness), "contrast": USUAL},
            class_counts=[n_images],
            dependence={},
        )
        profile = msgspec.structs.replace(profile, **changes)
        self._queue(profile.device, ProfileBody(profile))

    def keep(self, grey: int, *, stream: str = "cam") -> str:
        """A kept image, all of one grey; returns its id."""
        pixels = np.full((32, 32, 3), grey, np.uint8)
        content = cv2.imencode(".png", pixels)[1].tobytes()
        image = store_upload(
            self.workspace, _device("dev_1"), digest=digest_of(content), content=content
        )
        body = KeptImageBody(
            stream=stream,
            slot="main",
            bundle=self.bundle,
            image=image.digest,
            group="",
            captured_at_ms=self._next_ms(),
            lane="audit",
            inclusion_probability=0.1,
            uncertainty=0.5,
            descriptor=[1.0],
            detections=[],
        )
        return self._queue("dev_1", body)

    def label(self, loss: float, **changes: object) -> None:
        """An audited loss of `dev_1` / `cam`."""
        at_ms = self._next_ms()
        audited = AuditedLoss(
            id=f"loss_{self._sequence}",
            kept=f"kept_{self._sequence}",
            device="dev_1",
            stream="cam",
            stratum_stream="line=a",
            strata=["", "line=a"],
            bundle=self.bundle,
            loss=loss,
            inclusion_probability=0.1,
            at_ms=at_ms,
        )
        self._sequence += 1
        self._losses.append(msgspec.structs.replace(audited, **changes))

    def send(self) -> None:
        """Let everything arrive that is on its way."""
        for device, envelopes in self._envelopes.items():
            store_batch(self.workspace, _device(device), TelemetryBatch(envelopes=envelopes))
        with self.workspace.db.write() as tx:
            assert all(record_loss(tx, loss) for loss in self._losses)
        self._envelopes, self._losses = {}, []

    def advance(self, settings: MonitorSettings = SETTINGS) -> Advanced:
        self.send()
        return advance_monitors(self.workspace, LOCAL_CALL, AdvanceMonitors(settings=settings))

    def incidents(self, **wanted: object) -> list[Incident]:
        return list_incidents(self.workspace, LOCAL_CALL, ListIncidents(**wanted))

    def monitors(self) -> list[Monitor]:
        return list_monitors(self.workspace, LOCAL_CALL, ListMonitors())

    def darken(self, n_windows: int = 4, **changes: object) -> None:
        """A change nobody can miss: ten images a window, all in the darkest bin."""
        for _ in range(n_windows):
            self.window(DARK, **changes)

    def _next_ms(self) -> int:
        self.workspace.clock.sleep(1.0)
        return self.workspace.clock.now_ms()

    def _queue(self, device: str, body: ProfileBody | KeptImageBody) -> str:
        envelope = Envelope(
            device=device,
            sequence=self._sequence,
            at_ms=self.workspace.clock.now_ms(),
            body=body,
        )
        self._sequence += 1
        self._envelopes.setdefault(device, []).append(envelope)
        return derived_id("kept", device, str(envelope.sequence))


def _device(name: str) -> Call:
    return Call(Actor(ActorId(name), "device", Role.DEVICE))


@pytest.fixture
def plant(workspace: Workspace) -> Plant:
    return Plant(workspace)


@pytest.fixture
def alike() -> Dependence:
    """Twenty neighbours of which each is as the one before."""
    ranks = np.linspace(0, 1, 21)
    first, second = ranks[:-1], ranks[1:]
    sums = (first.sum(), second.sum(), first @ first, second @ second, first @ second)
    return Dependence(20, *(float(value) for value in sums))
