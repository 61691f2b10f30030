"""What a stream keeps, from the first doubt to the release that answers it."""

import threading
from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.check_in import StreamPolicy
from sightloop.datasets.splits import SplitRule
from sightloop.fleet import store as fleet
from sightloop.fleet.values import Device, DeviceId, Stream
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.digests import digest_of
from sightloop.kernel.steps import Lane, StepSpec, ask_for
from sightloop.kernel.worker import StepControl
from sightloop.kernel.workspace import Workspace
from sightloop.loop.handlers import HANDLERS
from sightloop.loop.policy import InputIncidentRules, KeepRules, ModelPolicy, Policy
from sightloop.loop.policy_file import POLICY_NAME
from sightloop.loop.turns import Trigger, Turn, TurnState, open_turn
from sightloop.monitoring import store as monitoring
from sightloop.monitoring.evidence import Evidence, Incident
from sightloop.monitoring.settings import MonitorSettings
from sightloop.testing.blob_commits import commit_blobs

DEVICE = DeviceId("dev_1")
BUNDLE = digest_of(b"bundle")
RULES = ModelPolicy(
    keep=KeepRules(audit_rate=0.02),
    on_input_incident=InputIncidentRules(audit_rate=0.5, drift_rate=0.9),
)


@pytest.fixture
def incident(workspace: Workspace) -> Incident:
    """A loss incident on the one camera of the one device, and a turn that collects for it."""
    policy = Policy(models={"pcb": RULES})
    Path(workspace.root, POLICY_NAME).write_bytes(msgspec.yaml.encode(policy))
    commit_blobs(workspace, n_images=12, split_rule=SplitRule(train=0.5, val=0.25, test=0.25))
    evidence = Evidence(
        incident="incident_1",
        kind="loss",
        streams=[],
        bundle=BUNDLE,
        model="pcb",
        change_at_ms=1,
        n_images_since_change=40,
        traces=[],
        measures=[],
        loss=None,
        kept=[],
        settings=MonitorSettings(),
    )
    opened = Incident(
        id="incident_1",
        kind="loss",
        model="pcb",
        device=DEVICE,
        stream="cam",
        slot="main",
        bundle=BUNDLE,
        stratum="line=a",
        monitor="monitor_1",
        measure="loss",
        guarantee="guaranteed",
        state="open",
        statistic_nats=9.0,
        threshold_nats=8.8,
        evidence=workspace.blobs.put(msgspec.json.encode(evidence)),
        opened_at_ms=1,
    )
    turn = Turn(
        id="turn_1",
        model="pcb",
        trigger=Trigger("loss incident", opened.id, "the audited loss rose"),
        focus="line=b",
        state=TurnState.COLLECTING,
        reason="the audited loss rose",
        champion=None,
        run=None,
        version=1,
        verdict=None,
        rollout=None,
        opened_at_ms=1,
        moved_at_ms=1,
    )
    with workspace.db.write() as tx:
        fleet.put_device(tx, _device())
        policy_then = StreamPolicy(stream="cam", audit_rate=0.02)
        stream = Stream(
            device=DEVICE, name="cam", slot="main", stratum="line=a", policy=policy_then
        )
        fleet.put_stream(tx, stream)
        monitoring.add_incident(tx, opened)
        open_turn(tx, turn, by=LOCAL)
    return opened


def _device() -> Device:
    return Device(
        id=DEVICE,
        name="line-7",
        ring="canary",
        site="",
        device_class="cpu",
        agent_version="0.1.0",
        capabilities=[],
        enrolled_at_ms=1,
    )


def run_step(workspace: Workspace, name: str, **inputs: str) -> None:
    spec = StepSpec(name, 1, inputs, Lane.QUICK)
    with workspace.db.write() as tx:
        step = ask_for(tx, spec, now_ms=1)
    outcome = HANDLERS[name](workspace, step, StepControl(threading.Event()))
    if outcome.record is not None:
        with workspace.db.write() as tx:
            outcome.record(tx)


def kept(workspace: Workspace) -> tuple[float, float]:
    with workspace.db.read() as tx:
        (stream,) = fleet.streams_of(tx, DEVICE)
    return stream.policy.audit_rate, stream.policy.drift_rate


def test_a_doubt_raises_the_audit_of_its_stream(workspace, incident):
    run_step(workspace, "answer input incident", incident=incident.id)
    assert kept(workspace) == (0.5, 0.9)


def test_a_certain_rise_keeps_images_to_learn_from_instead_of_auditing_them(workspace, incident):
    run_step(workspace, "answer input incident", incident=incident.id)
    run_step(workspace, "collect labels", turn="turn_1")
    assert kept(workspace) == (0.02, 0.9)


def test_once_there_is_enough_to_learn_from_the_stream_is_audited_to_judge(workspace, incident):
    run_step(workspace, "collect labels", turn="turn_1")
    run_step(workspace, "prepare training", turn="turn_1")
    assert kept(workspace) == (0.5, 0.0)


def test_what_is_collected_too_late_changes_nothing(workspace, incident):
    run_step(workspace, "prepare training", turn="turn_1")
    run_step(workspace, "collect labels", turn="turn_1")
    assert kept(workspace) == (0.5, 0.0)


def test_a_release_closes_the_incident_and_the_stream_keeps_as_usual(workspace, incident):
    run_step(workspace, "prepare training", turn="turn_1")
    run_step(workspace, "settle", turn="turn_1")
    assert kept(workspace) == (0.02, 0.0)
    with workspace.db.read() as tx:
        assert monitoring.find_incident(tx, incident.id).closed_at_ms is not None
