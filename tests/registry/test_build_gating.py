"""Other ways to run a version are judged on unseen images, recorded and signed."""

import msgspec
import pytest
from tuf.api.metadata import Targets

from sightloop.contracts.gated_builds import gated_in
from sightloop.evaluation.build_gate import BuildRules
from sightloop.evaluation.gate import GateRules
from sightloop.evaluation.services import read_bundle
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.registry import store
from sightloop.registry.build_gating import BUILD_JUDGED, GateBuilds, golden_images, judge_builds
from sightloop.registry.build_verdicts import build_verdicts_of
from sightloop.registry.gating import GateVersion, gate_version
from sightloop.registry.signing import SignVersion, sign_version
from sightloop.registry.update_metadata import MetadataFolder, update_metadata_folder
from sightloop.testing.rounding import LOUD, QUIET
from sightloop.testing.workspaces import LOCAL_CALL

RULES = BuildRules(min_images=5, min_objects=5, n_replicates=100, max_loss=0.05)


@pytest.fixture(params=[QUIET])
def judged(request, workspace, version):
    """Judges builds of a first version, which survives eight bits unless it is `LOUD`."""
    made = version(loudness=request.param)

    def judge(*runtimes: str, precisions=("fp32", "int8"), rules=RULES, words=lambda *_: []):
        wanted = GateBuilds(
            model=made.model, number=made.number, runtimes=[*runtimes],
            precisions=[*precisions], rules=rules,
        )  # fmt: skip
        return judge_builds(workspace, LOCAL_CALL, wanted, words=words)

    return judge


def listed(workspace):
    folder = MetadataFolder(update_metadata_folder(workspace))
    signed = folder.load_newest("owner-pcb", Targets).signed
    return [
        (build.runtime, build.precision)
        for one in gated_in(signed.unrecognized_fields)
        for build in one.builds
    ]


def rules_of(verdict):
    return {one.rule: one.outcome for one in verdict.verdict.rules}


def test_every_way_this_host_has_is_judged_but_the_one_that_is_released(judged):
    pytest.importorskip("openvino")
    ways = [(one.runtime, one.precision) for one in judged()]
    assert ways == [("onnxruntime", "int8"), ("openvino", "fp32"), ("openvino", "int8")]


def test_a_faithful_build_passes_and_is_recorded_and_told(workspace, judged):
    pytest.importorskip("openvino")
    (verdict,) = judged("openvino", precisions=["fp32"])
    assert (verdict.verdict.outcome, verdict.images) == ("pass", None)
    with workspace.db.read() as tx:
        assert build_verdicts_of(tx, "pcb", 1) == [verdict]
        (event,) = [event for event in history(tx) if event.kind == BUILD_JUDGED]
    assert (event.subject, event.data["runtime"], event.data["outcome"]) == (
        "pcb@1", "openvino", "pass",
    )  # fmt: skip


def test_an_int8_build_is_scaled_on_the_golden_images_and_not_judged_on_them(workspace, judged):
    (verdict,) = judged("onnxruntime", precisions=["int8"])
    with workspace.db.read() as tx:
        bundle = read_bundle(workspace, store.get_version(tx, "pcb", 1).bundle)
    assert verdict.images == golden_images(bundle)


def test_an_int8_build_within_bounds_passes(judged):
    (verdict,) = judged("onnxruntime", precisions=["int8"])
    assert verdict.verdict.outcome == "pass"


@pytest.mark.parametrize("judged", [LOUD], indirect=True)
def test_an_int8_build_that_loses_too_much_fails(judged):
    (verdict,) = judged("onnxruntime", precisions=["int8"])
    assert verdict.verdict.outcome == "fail"
    assert rules_of(verdict)["loss"] == "fail"


def test_a_runtime_of_devices_alone_waits_for_their_word(judged):
    (verdict,) = judged("tensorrt", precisions=["fp32"])
    assert verdict.runtime_version == ""
    assert rules_of(verdict)["devices"] == "inconclusive"


@pytest.mark.parametrize("judged", [LOUD], indirect=True)
def test_what_passed_is_signed_with_the_version_and_what_failed_is_not(
    workspace, judged, judge_version
):
    pytest.importorskip("openvino")
    judged("onnxruntime", "openvino")
    judge_version()
    sign_version(workspace, LOCAL_CALL, SignVersion(model="pcb", number=1))
    assert listed(workspace) == [("openvino", "fp32")]


@pytest.fixture
def judge_version(workspace):
    def judge():
        easy = GateRules(min_ap50=0.5, min_images=5, min_objects=5, max_latency_ratio=None)
        request = GateVersion(model="pcb", number=1, commit="main", rules=easy)
        assert gate_version(workspace, LOCAL_CALL, request).verdict.outcome == "pass"

    return judge


def test_the_newest_word_on_a_build_counts(workspace, judged):
    (first,) = judged("onnxruntime", precisions=["int8"])
    strict = msgspec.structs.replace(RULES, min_objects=10_000)
    (second,) = judged("onnxruntime", precisions=["int8"], rules=strict)
    assert (first.verdict.outcome, second.verdict.outcome) == ("pass", "inconclusive")
    with workspace.db.read() as tx:
        assert build_verdicts_of(tx, "pcb", 1) == [second]


def test_an_annotator_gates_no_builds(workspace, version):
    version()
    annotator = Call(Actor(ActorId("ann"), "person", Role.ANNOTATOR))
    request = msgspec.convert({"model": "pcb", "number": 1}, GateBuilds)
    with pytest.raises(NotAllowed, match="evaluate"):
        judge_builds(workspace, annotator, request, words=lambda *_: [])
