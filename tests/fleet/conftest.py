"""A fleet as the server sees it: signed versions, and devices that do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from sightloop.contracts.assignment import Assignment
from sightloop.contracts.bundle import BundleFile
from sightloop.contracts.check_in import (
    CheckIn,
    CheckInReply,
    EnrolRequest,
    SlotReport,
    StreamDeclaration,
)
from sightloop.contracts.decode import decode
from sightloop.evaluation.gate import RuleVerdict, Verdict
from sightloop.fleet import rollout_store, store  # noqa: F401 - their tables
from sightloop.fleet.check_ins import check_in
from sightloop.fleet.enrolment import CreateEnrolment, create_enrolment, enrol_device
from sightloop.fleet.report_buffer import ReportBuffer
from sightloop.fleet.update_repository import create_repository, root_bytes, target_blob
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.clock import SystemClock
from sightloop.kernel.digests import Digest, digest_of
from sightloop.kernel.tokens import actor_of
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store as registry
from sightloop.registry.aliases import SetAlias, set_alias
from sightloop.registry.signing import SignVersion, sign_version
from sightloop.registry.update_metadata import update_metadata_folder
from sightloop.registry.values import ModelName, ModelVersion, VerdictId, VerdictRecord
from sightloop.testing.clock import ManualClock
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace


@pytest.fixture
def clock() -> ManualClock:
    # TUF's client judges expiry by the machine's own time.
    return ManualClock(SystemClock().now_ms())


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock) -> Iterator[Workspace]:
    opened = fresh_workspace(tmp_path / "workspace", clock=clock)
    create_repository(opened)
    yield opened
    opened.db.close()


def package(workspace: Workspace, model: str = "pcb") -> ModelVersion:
    """A version with a made-up manifest and model file; nobody has judged it."""
    with workspace.db.read() as tx:
        number = len(registry.versions_of(tx, model)) + 1
    weights = workspace.blobs.put(f"weights of {model} {number}".encode())
    manifest = workspace.blobs.put(f"manifest of {model} {number}".encode())
    with workspace.db.write() as tx:
        return registry.add_version(
            tx,
            model=ModelName(model),
            bundle=manifest,
            files=[BundleFile("model.onnx", weights, 20)],
            run=f"run_{number}",
            dataset_commit=digest_of(b"commit"),
            now_ms=workspace.clock.now_ms(),
        )


def judge(workspace: Workspace, version: ModelVersion, outcome: str = "pass") -> None:
    reason = "0.80 is not below 0.79" if outcome == "pass" else "0.70 is below 0.79"
    rule = RuleVerdict(rule="not_worse", outcome=outcome, reason=reason, value=None, bound=0.0)
    with workspace.db.write() as tx:
        record = VerdictRecord(
            id=VerdictId(workspace.ids.new("verdict")),
            model=version.model,
            number=version.number,
            champion=None,
            verdict=Verdict(outcome=outcome, rules=[rule]),
            evaluation="evaluation_1",
            champion_evaluation=None,
            decided_at_ms=workspace.clock.now_ms(),
        )
        registry.add_verdict(tx, record)


def sign(workspace: Workspace, version: ModelVersion) -> ModelVersion:
    request = SignVersion(model=version.model, number=version.number)
    return sign_version(workspace, LOCAL_CALL, request)


Release = Callable[..., ModelVersion]


@pytest.fixture
def release(workspace: Workspace) -> Release:
    """Makes the next version of a model, judged and signed; `champion=True` points the alias."""

    def make(model: str = "pcb", *, champion: bool = False) -> ModelVersion:
        version = package(workspace, model)
        judge(workspace, version)
        signed = sign(workspace, version)
        if champion:
            alias = SetAlias(model=model, alias="champion", number=signed.number)
            set_alias(workspace, LOCAL_CALL, alias)
        return signed

    return make


class SimDevice:
    """A device in the test's hands: what it reports is its public attributes."""

    def __init__(
        self, workspace: Workspace, name: str, *, ring: str, slots: dict[str, str]
    ) -> None:
        self.workspace = workspace
        place = create_enrolment(
            workspace, LOCAL_CALL, CreateEnrolment(name=name, ring=ring, slots=slots)
        )
        with workspace.db.read() as tx:
            actor = actor_of(tx, place.token, now_ms=workspace.clock.now_ms())
        request = EnrolRequest(
            name=name, device_class="box", agent_version="1", capabilities=["onnxruntime"]
        )
        reply = enrol_device(workspace, Call(actor), request, token=place.token)
        self.id = reply.device
        self.call = Call(Actor(ActorId(self.id), "device", Role.DEVICE))
        self.boot = "boot_1"
        self.streams = [StreamDeclaration("cam", sorted(slots)[0], "line=a")]
        self.slots = {name: _empty(name) for name in slots}

    def report(self, slot: str = "main", **changes: object) -> None:
        """Say something else about the slot from now on."""
        self.slots[slot] = msgspec.structs.replace(self.slots[slot], **changes)

    def check_in(self, buffer: ReportBuffer | None = None) -> CheckInReply:
        request = CheckIn(
            device=self.id,
            agent_version="1",
            capabilities=["onnxruntime"],
            boot=self.boot,
            at_ms=self.workspace.clock.now_ms(),
            streams=self.streams,
            slots=list(self.slots.values()),
            n_spooled=0,
        )
        return check_in(self.workspace, self.call, request, buffer=buffer)

    def obey(self, *, n_requests: int = 100, p95_ms: float = 10.0) -> None:
        """Check in, switch to whatever is assigned, serve it well, and check in again."""
        for assignment in assignments_in(self.check_in()):
            serving = self.slots[assignment.slot].running == assignment.bundle
            self.report(
                assignment.slot,
                state="serving",
                running=assignment.bundle,
                assigned=assignment.bundle,
                counter=assignment.counter,
                golden_passed=True,
                n_requests=n_requests if not serving else self.slots[assignment.slot].n_requests,
                latency_p95_ms=p95_ms,
            )
        self.check_in()


def _empty(slot: str) -> SlotReport:
    return SlotReport(
        slot=slot,
        state="empty",
        running=None,
        assigned=None,
        counter=0,
        golden_passed=False,
        n_requests=0,
        n_failed=0,
        latency_p95_ms=0.0,
        problem="",
    )


def assignments_in(reply: CheckInReply) -> list[Assignment]:
    return [decode(signed.payload, Assignment, what="x") for signed in reply.assignments]


Enrol = Callable[..., SimDevice]


@pytest.fixture
def enrol(workspace: Workspace) -> Enrol:
    """Enrols a device with one slot, `main`, for the model `pcb`."""

    def make(name: str, *, ring: str = "canary", slots: dict[str, str] | None = None) -> SimDevice:
        return SimDevice(workspace, name, ring=ring, slots=slots or {"main": "pcb"})

    return make


class FolderFetcher(FetcherInterface):
    """Serves a workspace's update repository to TUF's own client, without a server."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def _fetch(self, url: str) -> Iterator[bytes]:
        kind, _, name = url.removeprefix("test://").partition("/")
        if kind == "targets":
            return iter([self._workspace.blobs.read(target_blob(self._workspace, name))])
        path = update_metadata_folder(self._workspace) / name
        if not path.is_file():
            raise DownloadHTTPError("not found", 404)
        return iter([path.read_bytes()])


class Client:
    """TUF's own client with a cache of its own; each look is a new start of the device."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self._workspace = workspace
        self._folder = folder
        self._root = root_bytes(workspace)

    def look(self) -> Updater:
        self._folder.mkdir(exist_ok=True)
        updater = Updater(
            metadata_dir=str(self._folder),
            metadata_base_url="test://metadata",
            target_dir=str(self._folder),
            target_base_url="test://targets",
            fetcher=FolderFetcher(self._workspace),
            config=UpdaterConfig(),
            bootstrap=self._root,
        )
        updater.refresh()
        return updater

    def knows(self, version: ModelVersion) -> bool:
        return self.finds(version.model, version.bundle)

    def finds(self, model: str, bundle: Digest) -> bool:
        path = f"bundles/{model}/{bundle.removeprefix('sha256:')}.json"
        return self.look().get_targetinfo(path) is not None


@pytest.fixture
def client(workspace: Workspace, tmp_path: Path) -> Client:
    return Client(workspace, tmp_path / "device")


@pytest.fixture
def client_of(tmp_path: Path) -> Callable[[Workspace], Client]:
    return lambda workspace: Client(workspace, tmp_path / "other device")


@pytest.fixture
def unsigned(workspace: Workspace) -> Callable[[], ModelVersion]:
    """Makes a version that nobody judged or signed."""
    return lambda: package(workspace)


@pytest.fixture
def judged(workspace: Workspace) -> Callable[[ModelVersion, str], None]:
    """Gives a version another verdict."""
    return lambda version, outcome: judge(workspace, version, outcome)
