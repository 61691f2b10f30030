"""Builds reach a device on its owner's word alone, and run only after it proved them itself."""

from pathlib import Path

import pytest

from sightloop.contracts.gated_builds import GatedBuild, GatedBundle
from sightloop.device.errors import MetadataRefused, ServerAway
from sightloop.device.settings import AgentSettings
from sightloop.device.tune import TuneRequest, tune
from sightloop.device.tune_trial import TrialOrder, TrialResult
from sightloop.device.usb_update import take_in
from sightloop.kernel.clock import SystemClock
from sightloop.testing.agents import AgentProcess, wait_until
from sightloop.testing.bundles import ToyBundle
from sightloop.testing.control_plane import DEVICE
from sightloop.testing.faults import CrashPlan, SimulatedCrash
from sightloop.testing.slots import DeviceOnDisk
from sightloop.testing.update_folders import carry
from sightloop.testing.update_repository import UpdateRepository

OPENVINO = GatedBuild(device_class="", runtime="openvino", precision="fp32")


@pytest.fixture
def device(home, link, plane, bundles):
    """A device that runs the first bundle."""
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)
    opened = DeviceOnDisk(home, link)
    opened.intake.accept(opened.intake.look(link), plane.assignments["main"])
    opened.installer.step()
    yield opened
    opened.close()


def known(device, bundle: ToyBundle) -> list[GatedBuild]:
    return device.state.now.gated_builds("blobs", bundle.digest)


def test_a_device_learns_what_the_owner_vouches_for(device, link, plane, bundles):
    assert known(device, bundles[0]) == []
    plane.repository.gate("blobs", bundles[0].digest, [OPENVINO])
    device.intake.look(link)
    assert known(device, bundles[0]) == [OPENVINO]
    assert known(device, bundles[1]) == []


def test_a_list_that_came_before_the_assignment_is_known_with_the_bundle(
    home, link, plane, bundles
):
    plane.add(bundles[0])
    plane.repository.gate("blobs", bundles[0].digest, [OPENVINO])
    plane.assign(bundles[0], version=1)
    device = DeviceOnDisk(home, link)
    trusted = device.intake.look(link)
    device.intake.accept(trusted, plane.assignments["main"])
    device.intake.fetch(trusted, link, device.state.now.slot("main").accepted)
    assert known(device, bundles[0]) == [OPENVINO]
    device.close()


def test_a_build_the_owner_dropped_is_a_candidate_again(device, link, plane, bundles):
    plane.repository.gate("blobs", bundles[0].digest, [OPENVINO])
    device.intake.look(link)
    plane.repository.gate("blobs", bundles[0].digest, [])
    device.intake.look(link)
    assert known(device, bundles[0]) == []


def test_a_list_with_a_changed_byte_is_ignored(device, link, plane, bundles):
    plane.repository.gate("blobs", bundles[0].digest, [OPENVINO])
    name = f"{plane.repository.version}.owner-blobs.json"
    honest = plane.repository.files[name]
    plane.repository.files[name] = honest.replace(b'"openvino"', b'"tensorrt"')
    with pytest.raises(MetadataRefused):
        device.intake.look(link)
    assert known(device, bundles[0]) == []


def test_a_list_under_another_key_is_ignored(device, link, plane, bundles):
    stranger = UpdateRepository(["blobs"])
    stranger.gate("blobs", bundles[0].digest, [OPENVINO])
    stranger.publish()
    mine = plane.repository
    mine.publish()
    mine.files[f"{mine.version}.owner-blobs.json"] = stranger.files[
        f"{stranger.version}.owner-blobs.json"
    ]
    with pytest.raises(MetadataRefused):
        device.intake.look(link)
    assert known(device, bundles[0]) == []


def test_the_owner_of_another_model_vouches_for_nothing_here(home, link, bundles, plane):
    other = [GatedBuild(device_class="", runtime="openvino", precision="int8")]
    device = DeviceOnDisk(home, link)
    state = device.state.change(lambda now: type(now)(gated={"cups": [_listed(bundles[0], other)]}))
    assert state.gated_builds("blobs", bundles[0].digest) == []
    device.close()


def _listed(bundle: ToyBundle, builds: list[GatedBuild]):
    return GatedBundle(bundle=bundle.digest, version=1, builds=builds)


def test_a_folder_on_a_stick_brings_the_list_too(device, plane, bundles, tmp_path):
    plane.repository.gate("blobs", bundles[0].digest, [OPENVINO])
    stick = carry(plane, tmp_path / "stick")
    take_in(device.intake, device.state, stick, device=DEVICE)
    assert known(device, bundles[0]) == [OPENVINO]


def test_without_the_server_what_was_learned_stays(device, link, plane, bundles):
    plane.repository.gate("blobs", bundles[0].digest, [OPENVINO])
    device.intake.look(link)
    plane.away = True
    with pytest.raises(ServerAway):
        device.intake.look(link)
    assert known(device, bundles[0]) == [OPENVINO]


def test_a_power_cut_before_the_list_is_written_forgets_nothing(
    device, link, plane, bundles, monkeypatch
):
    plane.repository.gate("blobs", bundles[0].digest, [OPENVINO])
    plan = CrashPlan(before_write=0)

    def cut(*_args: object, **_more: object) -> None:
        plan.about_to_write()

    with monkeypatch.context() as patched:
        patched.setattr("sightloop.device.state.write_atomic", cut)
        with pytest.raises(SimulatedCrash):
            device.intake.look(link)
    assert known(device, bundles[0]) == []
    device.intake.look(link)
    assert known(device, bundles[0]) == [OPENVINO]


# --- the agent as a process ----------------------------------------------------------------------


@pytest.fixture
def serving(agent: AgentProcess, plane, bundles) -> AgentProcess:
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)
    agent.start()
    wait_until(lambda: agent.serves(bundles[0]), f"it serves; see {agent.log}")
    return agent


def tuned(home: Path, *, device_class: str = "cpu"):
    """As `agent tune` would, with OpenVINO the faster of the two."""

    def trial(order: TrialOrder) -> TrialResult:
        return TrialResult(durations_ms=[5.0 if order.runtime == "openvino" else 9.0])

    request = TuneRequest(
        runtimes=["onnxruntime", "openvino"], precisions=["fp32"], threads=[1], rounds=1
    )
    settings = AgentSettings(home=str(home), device_class=device_class)
    return tune(home, settings, request, clock=SystemClock(), trial=trial)


@pytest.mark.processes
def test_an_agent_runs_a_build_once_it_is_gated_and_tuned_and_leaves_it_when_it_is_not(
    serving, plane, bundles, image
):
    pytest.importorskip("openvino")
    assert tuned(serving.home).choice.key.runtime == "onnxruntime"
    plane.repository.gate("blobs", bundles[0].digest, [OPENVINO])
    wait_until(lambda: '"openvino"' in state_of(serving), "the device knows the list")
    assert tuned(serving.home).choice.key.runtime == "openvino"
    plane.repository.publish()  # any news makes it look; without, it does so every hour
    wait_until(lambda: serving.slot().report.runtime.startswith("openvino"), "it runs the build")
    assert len(serving.predict(image).prediction().detections) == 3
    plane.repository.gate("blobs", bundles[0].digest, [])
    wait_until(lambda: serving.slot().report.runtime.startswith("onnxruntime"), "it left it")
    assert "not gated" in serving.slot().report.choice_problem
    assert len(serving.predict(image).prediction().detections) == 3


def state_of(agent: AgentProcess) -> str:
    return (agent.home / "state.json").read_text()


@pytest.mark.processes
def test_a_choice_that_no_owner_vouches_for_never_runs(serving, image):
    pytest.importorskip("openvino")
    tuned(serving.home)
    path = serving.home / "tuning.json"
    path.write_bytes(path.read_bytes().replace(b'"runtime":"onnxruntime"', b'"runtime":"openvino"'))
    serving.kill_worker()
    wait_until(lambda: "not gated" in serving.slot().report.choice_problem, "it says why")
    assert serving.slot().report.runtime.startswith("onnxruntime")
    assert len(serving.predict(image).prediction().detections) == 3
