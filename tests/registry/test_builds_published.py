"""From the gate to the metadata that devices read, and from their reports to the gate."""

import msgspec
import pytest
from tuf.api.metadata import Targets

from sightloop.contracts.builds import BuildReport
from sightloop.contracts.check_in import CheckIn, EnrolRequest, SlotReport
from sightloop.contracts.gated_builds import gated_in
from sightloop.evaluation.build_gate import BuildRules
from sightloop.evaluation.gate import GateRules
from sightloop.fleet import store as _fleet  # noqa: F401 - its tables
from sightloop.fleet.check_ins import check_in
from sightloop.fleet.enrolment import CreateEnrolment, create_enrolment, enrol_device
from sightloop.fleet.gating_builds import gate_builds
from sightloop.fleet.revoking import revoke_version
from sightloop.fleet.update_repository import create_repository, newest_update_version, publish
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.tokens import actor_of
from sightloop.kernel.workspace import Call
from sightloop.registry import update_metadata
from sightloop.registry.build_gating import GateBuilds
from sightloop.registry.build_verdicts import build_verdicts_of
from sightloop.registry.errors import OwnerKeyMissing, VersionRevoked
from sightloop.registry.gating import GateVersion, gate_version
from sightloop.registry.keys import key_path
from sightloop.registry.revoking import RevokeVersion
from sightloop.registry.signing import SignVersion, sign_version
from sightloop.registry.update_metadata import MetadataFolder, update_metadata_folder
from sightloop.testing.faults import CrashPlan, SimulatedCrash, crashing
from sightloop.testing.workspaces import LOCAL_CALL

EASY = GateRules(min_ap50=0.5, min_images=5, min_objects=5, max_latency_ratio=None)
RULES = BuildRules(min_images=5, min_objects=5, n_replicates=100, max_loss=0.05)
ASKED = GateBuilds(model="pcb", number=1, runtimes=["openvino"], precisions=["fp32"], rules=RULES)

pytest.importorskip("openvino")


@pytest.fixture
def signed(workspace, version):
    """A first version that passed its gate and is signed and published."""
    create_repository(workspace)
    version()
    gate_version(
        workspace, LOCAL_CALL, GateVersion(model="pcb", number=1, commit="main", rules=EASY)
    )
    made = sign_version(workspace, LOCAL_CALL, SignVersion(model="pcb", number=1))
    publish(workspace)
    return made


def listed(workspace):
    folder = MetadataFolder(update_metadata_folder(workspace))
    said = folder.load_newest("owner-pcb", Targets).signed.unrecognized_fields
    return [
        (one.bundle, build.runtime, build.precision)
        for one in gated_in(said)
        for build in one.builds
    ]


def test_a_build_that_passed_is_signed_and_devices_are_told_to_look(workspace, signed):
    before = newest_update_version(workspace)
    done = gate_builds(workspace, LOCAL_CALL, ASKED)
    assert done.is_published
    assert listed(workspace) == [(signed.bundle, "openvino", "fp32")]
    assert newest_update_version(workspace) == before + 1


def test_a_build_that_no_longer_passes_leaves_the_list(workspace, signed):
    gate_builds(workspace, LOCAL_CALL, ASKED)
    strict = msgspec.structs.replace(RULES, min_objects=10_000)
    gate_builds(workspace, LOCAL_CALL, msgspec.structs.replace(ASKED, rules=strict))
    assert listed(workspace) == []


def test_judging_again_with_the_same_outcome_signs_nothing_new(workspace, signed):
    gate_builds(workspace, LOCAL_CALL, ASKED)
    before = newest_update_version(workspace)
    gate_builds(workspace, LOCAL_CALL, ASKED)
    assert newest_update_version(workspace) == before


def test_a_crash_before_any_write_leaves_a_list_that_a_repeat_completes(
    workspace, signed, monkeypatch
):
    strict = msgspec.structs.replace(ASKED, rules=msgspec.structs.replace(RULES, min_objects=9999))
    written = update_metadata.write_atomic

    def gate_with(plan: CrashPlan) -> None:
        def write(path, content):
            plan.about_to_write()
            written(path, content)

        with monkeypatch.context() as patched:
            patched.setattr(update_metadata, "write_atomic", write)
            gate_builds(crashing(workspace, plan), LOCAL_CALL, ASKED)

    plan = CrashPlan()
    gate_with(plan)
    assert plan.n_writes >= 4  # the verdict, the owner's file, snapshot, timestamp
    for step in range(plan.n_writes):
        gate_builds(workspace, LOCAL_CALL, strict)
        assert listed(workspace) == []
        with pytest.raises(SimulatedCrash):
            gate_with(CrashPlan(before_write=step))
        gate_builds(workspace, LOCAL_CALL, ASKED)
        assert listed(workspace) == [(signed.bundle, "openvino", "fp32")]


def test_the_builds_of_a_revoked_version_are_vouched_for_no_more(workspace, signed):
    gate_builds(workspace, LOCAL_CALL, ASKED)
    revoke_version(workspace, LOCAL_CALL, RevokeVersion(model="pcb", number=1, reason="it errs"))
    assert listed(workspace) == []
    with pytest.raises(VersionRevoked, match="have builds gated"):
        gate_builds(workspace, LOCAL_CALL, ASKED)


def test_without_the_owners_key_the_verdict_stands_and_no_device_hears_of_it(workspace, signed):
    path = key_path(workspace, "owner-pcb")
    kept = path.rename(path.with_suffix(".away"))
    with pytest.raises(OwnerKeyMissing):
        gate_builds(workspace, LOCAL_CALL, ASKED)
    with workspace.db.read() as tx:
        assert [one.verdict.outcome for one in build_verdicts_of(tx, "pcb", 1)] == ["pass"]
    assert listed(workspace) == []
    kept.rename(path)


def test_who_may_evaluate_but_not_sign_gates_no_builds(workspace, signed):
    engineer = Call(Actor(ActorId("eve"), "person", Role.ENGINEER))
    with pytest.raises(NotAllowed, match="sign"):
        gate_builds(workspace, engineer, ASKED)


# --- what devices say ----------------------------------------------------------------------------

TENSORRT = msgspec.structs.replace(ASKED, runtimes=["tensorrt"], device_class="jetson")


@pytest.fixture
def told(workspace, signed):
    """Enrols a device of a class, which runs the version and reports a TensorRT build of it."""

    def tell(name: str, *, device_class: str = "jetson", golden_problem: str = "") -> None:
        place = create_enrolment(
            workspace, LOCAL_CALL, CreateEnrolment(name=name, ring="canary", slots={"main": "pcb"})
        )
        with workspace.db.read() as tx:
            actor = actor_of(tx, place.token, now_ms=workspace.clock.now_ms())
        hello = EnrolRequest(
            name=name, device_class=device_class, agent_version="1", capabilities=[]
        )
        device = enrol_device(workspace, Call(actor), hello, token=place.token).device
        report = BuildReport(
            runtime="tensorrt", runtime_version="1.27", precision="fp32", threads=1, p50_ms=2.0,
            p99_ms=3.0, n_runs=9, resident_bytes=1, golden_problem=golden_problem, is_gated=False,
        )  # fmt: skip
        slot = SlotReport(
            slot="main", state="serving", running=signed.bundle, assigned=signed.bundle, counter=1,
            golden_passed=True, n_requests=0, n_failed=0, latency_p95_ms=0.0, problem="",
            builds=[report],
        )  # fmt: skip
        said = CheckIn(
            device=device, agent_version="1", capabilities=[], boot="boot_1",
            at_ms=workspace.clock.now_ms(), streams=[], slots=[slot], n_spooled=0,
        )  # fmt: skip
        check_in(workspace, Call(Actor(ActorId(device), "device", Role.DEVICE)), said)

    return tell


def devices_rule(workspace):
    (verdict,) = gate_builds(workspace, LOCAL_CALL, TENSORRT).verdicts
    outcome = {one.rule: one.outcome for one in verdict.verdict.rules}["devices"]
    return outcome, verdict.n_devices, verdict.verdict.outcome


def test_a_build_only_devices_can_run_passes_by_their_word(workspace, told):
    told("line-1")
    assert devices_rule(workspace) == ("pass", 1, "pass")
    assert listed(workspace)[0][1:] == ("tensorrt", "fp32")


def test_a_device_that_sees_something_else_refuses_it_for_its_class(workspace, told):
    told("line-1")
    told("line-2", golden_problem="class 1 was not found")
    assert devices_rule(workspace) == ("fail", 2, "fail")
    assert listed(workspace) == []


def test_the_word_of_another_class_does_not_count(workspace, told):
    told("desk", device_class="box")
    assert devices_rule(workspace) == ("inconclusive", 0, "inconclusive")
