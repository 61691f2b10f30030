"""The agent as a process: swaps, crashes, kills, lies and silence, seen from outside."""

import contextlib
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from urllib3.exceptions import HTTPError

from sightloop.contracts.bundle import Detection
from sightloop.contracts.check_in import SlotReport, StreamPolicy
from sightloop.contracts.telemetry import HealthBody, KeptImageBody, ProfileBody, SwapBody
from sightloop.device.bundle_files import file_path
from sightloop.kernel.digests import digest_of
from sightloop.testing.agents import AgentProcess, open_loop, wait_until
from sightloop.testing.bundles import ToyBundle
from sightloop.testing.control_plane import ControlPlane

pytestmark = pytest.mark.processes


@pytest.fixture
def serving(agent: AgentProcess, plane: ControlPlane, bundles: list[ToyBundle]) -> AgentProcess:
    """An agent that serves the first bundle; the others are signed and wait."""
    for bundle in bundles:
        plane.add(bundle)
    plane.assign(bundles[0], version=1)
    agent.start()
    wait_for(agent, bundles[0])
    return agent


def wait_for(agent: AgentProcess, bundle: ToyBundle) -> None:
    wait_until(lambda: agent.serves(bundle), f"{bundle.digest} serves; see {agent.log}")


def wait_for_report(plane: ControlPlane, **wanted: object) -> SlotReport:
    def told() -> list[SlotReport]:
        reports = [one for check_in in plane.check_ins[-2:] for one in check_in.slots]
        return [
            report
            for report in reports
            if all(getattr(report, name) == value for name, value in wanted.items())
        ]

    wait_until(lambda: bool(told()), f"a check-in tells {wanted}")
    return told()[-1]


def bundle_folder(agent: AgentProcess, bundle: ToyBundle) -> Path:
    return agent.home / "bundles" / bundle.digest.removeprefix("sha256:")


def with_wrong_golden(bundle: ToyBundle) -> ToyBundle:
    golden = bundle.manifest.golden[0]
    lie = msgspec.structs.replace(golden, detections=[Detection(0, 0.9, 1, 1, 2, 2)])
    return ToyBundle(msgspec.structs.replace(bundle.manifest, golden=[lie]), bundle.files)


def test_a_new_device_enrols_fetches_its_model_and_serves(serving, plane, bundles, image):
    prediction = serving.predict(image, "?stream=cam2&group=board-7").prediction()
    assert (prediction.model, prediction.version, prediction.bundle) == (
        "blobs",
        1,
        bundles[0].digest,
    )
    assert (prediction.stream, len(prediction.detections)) == ("cam2", 3)
    report = wait_for_report(plane, state="serving", running=bundles[0].digest)
    assert (report.golden_passed, report.counter, report.problem) == (True, 1, "")


def test_no_request_fails_while_bundles_are_swapped_and_workers_killed(
    serving, plane, bundles, image
):
    with open_loop(serving, image, per_second=20) as sent:
        for turn in range(1, 21):
            bundle = bundles[turn % 3]
            plane.assign(bundle, version=1 + turn)
            wait_for(serving, bundle)
            serving.kill_worker()
    assert [one.failure for one in sent if one.failure] == []
    assert len(sent) > 100
    # Not every version gets to answer: its worker may be killed before the next request comes.
    assert len({one.version for one in sent}) > 10
    assert serving.slot().n_replaced >= 15
    wait_until(lambda: len(plane.bodies(SwapBody)) >= 21, "every swap is told")


def test_a_request_waits_for_the_worker_that_replaces_a_dead_one(serving, image):
    serving.kill_worker()
    assert serving.predict(image).prediction().version == 1


def test_a_worker_that_hangs_is_replaced_and_its_request_answered(
    agent, plane, bundles, image, tmp_path
):
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)
    agent = AgentProcess(agent.home, *agent.flags, "--hang-deadline-s", "1")
    agent.start()
    wait_for(agent, bundles[0])
    os.kill(agent.slot().worker_pid, signal.SIGSTOP)
    assert agent.predict(image).prediction().version == 1
    assert agent.slot().n_replaced == 1
    agent.kill()


def test_a_bundle_that_fails_its_golden_images_is_quarantined_and_the_old_one_serves(
    serving, plane, bundles, image
):
    bad = with_wrong_golden(bundles[1])
    plane.add(bad)
    plane.assign(bad, version=2)
    report = wait_for_report(plane, state="failed", assigned=bad.digest)
    assert report.running == bundles[0].digest
    assert report.quarantined == [bad.digest]
    assert "DEV-040" in report.problem
    assert serving.predict(image).prediction().version == 1
    wait_until(lambda: len(plane.bodies(SwapBody)) == 2, "the refusal is told")
    told = plane.bodies(SwapBody)[-1]
    assert (told.outcome, told.bundle, told.previous) == ("refused", bad.digest, bundles[0].digest)
    plane.assign(bundles[2], version=3)
    wait_for(serving, bundles[2])


def test_a_quarantined_bundle_is_not_started_again_after_a_restart(serving, plane, bundles):
    bad = with_wrong_golden(bundles[1])
    plane.add(bad)
    plane.assign(bad, version=2)
    wait_for_report(plane, state="failed", assigned=bad.digest)
    assert serving.stop() == 0
    plane.check_ins.clear()
    serving.start_again()
    wait_for_report(plane, state="failed", running=bundles[0].digest, golden_passed=True)
    assert [body.outcome for body in plane.bodies(SwapBody)] == ["switched", "refused"]


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        ("another device", "this is"),
        ("foreign key", "does not count"),
        ("old counter", "counter 1"),
    ],
)
def test_an_assignment_that_is_not_for_us_is_not_followed(
    serving, plane, bundles, lie: str, code: str
):
    if lie == "another device":
        plane.assign(bundles[1], version=2, device="device_other")
    elif lie == "foreign key":
        assignment = plane.assign(bundles[1], version=2)
        plane.assignments["main"] = plane.repository.sign(assignment, by="blobs")
    else:
        plane.counter = 0
        plane.assign(bundles[1], version=2)
    wait_until(
        lambda: any(code in one.problem for told in plane.check_ins for one in told.slots),
        f"a check-in complains of {code!r}",
    )
    assert serving.serves(bundles[0])
    assert not bundle_folder(serving, bundles[1]).exists()


def test_a_tampered_download_is_not_run_and_is_fetched_again(serving, plane, bundles):
    model = bundles[1].files["model.onnx"]
    plane.served_instead[digest_of(model).removeprefix("sha256:")] = model + b"more"
    plane.assign(bundles[1], version=2)
    wait_until(
        lambda: any("model.onnx should be" in one.problem for one in reports(plane)),
        "the tampered file is told",
    )
    assert serving.serves(bundles[0])
    plane.served_instead.clear()
    wait_for(serving, bundles[1])


def test_what_is_refused_again_and_again_does_not_make_a_device_check_in_more_often(
    serving, plane, bundles
):
    plane.assign(bundles[1], version=2, device="device_other")
    wait_until(lambda: any(one.problem for one in reports(plane)), "the refusal is told")
    n_before, begin_s = len(plane.check_ins), time.monotonic()
    wait_until(lambda: len(plane.check_ins) >= n_before + 6, "six more check-ins")
    assert time.monotonic() - begin_s > 5 * 0.8 * plane.next_check_in_s


def reports(plane: ControlPlane) -> list[SlotReport]:
    return [report for check_in in plane.check_ins for report in check_in.slots]


def test_going_back_needs_no_download(serving, plane, bundles):
    plane.assign(bundles[1], version=2)
    wait_for(serving, bundles[1])
    plane.blob_requests.clear()
    plane.assign(bundles[0], version=1)
    wait_for(serving, bundles[0])
    assert plane.blob_requests == []


def test_only_the_running_bundle_and_the_one_before_stay_on_disk(serving, plane, bundles):
    for version, bundle in enumerate(bundles[1:], start=2):
        plane.assign(bundle, version=version)
        wait_for(serving, bundle)
    wait_until(lambda: not bundle_folder(serving, bundles[0]).exists(), "the oldest is removed")
    assert bundle_folder(serving, bundles[1]).exists()


def test_an_agent_killed_anywhere_in_an_installation_serves_again_and_finishes_it(
    serving, plane, bundles, image
):
    moments = {
        "accepted": lambda bundle: bundle.digest in state_text(serving),
        "downloading": lambda _: bool(plane.blob_requests),
        "complete": lambda bundle: bundle_folder(serving, bundle).exists(),
        "starting": lambda _: serving.slot().report.state == "starting",
        "switched": serving.serves,
    }
    for turn, (moment, has_come) in enumerate(moments.items(), start=1):
        bundle = bundles[turn % 3]
        plane.blob_requests.clear()
        plane.assign(bundle, version=turn + 1)
        wait_until(lambda: has_come(bundle), moment)  # noqa: B023 - called in this turn only
        serving.kill()
        serving.start_again()
        wait_until(lambda: is_answered(serving, image), f"it serves again after {moment}")
        wait_for(serving, bundle)


def is_answered(agent: AgentProcess, image: bytes) -> bool:
    with contextlib.suppress(HTTPError):
        return agent.predict(image).status == 200
    return False


def test_an_agent_boots_without_its_server_and_serves_the_last_bundle(
    serving, plane, bundles, image
):
    plane.stop()
    serving.kill()
    serving.start_again()
    wait_for(serving, bundles[0])
    assert serving.predict(image).prediction().bundle == bundles[0].digest
    assert serving.stop() == 0


def test_no_worker_outlives_its_supervisor(serving):
    worker = Path(f"/proc/{serving.slot().worker_pid}")
    assert worker.exists()
    serving.kill()
    wait_until(lambda: not worker.exists(), "the worker is gone")


def test_a_service_manager_that_signals_the_whole_group_loses_no_answer(serving, image):
    os.kill(serving.slot().worker_pid, signal.SIGTERM)
    assert serving.predict(image).status == 200
    assert serving.slot().n_replaced == 0
    assert serving.stop() == 0


def test_a_bundle_damaged_on_disk_is_replaced_by_the_one_before_and_fetched_again(
    serving, plane, bundles
):
    plane.assign(bundles[1], version=2)
    wait_for(serving, bundles[1])
    assert serving.stop() == 0
    plane.away = True
    model = file_path(bundle_folder(serving, bundles[1]), "model.onnx")
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    serving.start_again()
    wait_for(serving, bundles[0])
    plane.away = False
    wait_for(serving, bundles[1])
    assert serving.slot().report.quarantined == []


def test_expired_update_metadata_stops_updates_and_nothing_else(serving, plane, bundles, image):
    plane.repository.expires = datetime.now(UTC) - timedelta(days=1)
    plane.repository.publish()
    plane.assign(bundles[1], version=2)
    wait_until(
        lambda: any("expired" in report.problem for report in reports(plane)), "expiry is told"
    )
    assert serving.predict(image).prediction().version == 1
    plane.repository.expires = datetime.now(UTC) + timedelta(days=1)
    plane.repository.publish()
    wait_for(serving, bundles[1])


def test_what_was_seen_while_the_server_was_away_arrives_exactly_once(serving, plane, image):
    plane.policies = [StreamPolicy(stream="cam1", audit_rate=1.0, window_images=10)]
    wait_until(lambda: '"audit_rate":1.0' in state_text(serving), "the policy is followed")
    plane.away = True
    for _ in range(30):
        assert serving.predict(image, "?group=board-7").status == 200
    wait_until(lambda: serving.status().spool.n_envelopes >= 33, "it is spooled")
    serving.kill()
    serving.start_again()
    plane.away = False
    wait_until(lambda: len(plane.bodies(ProfileBody)) == 3, "the profiles arrive")
    wait_until(lambda: len(plane.bodies(KeptImageBody)) == 30, "the images arrive")
    profiles = plane.bodies(ProfileBody)
    assert [body.profile.n_images for body in profiles] == [10, 10, 10]
    assert {body.profile.stratum for body in profiles} == {"product_line=A"}
    assert [sum(body.profile.counts["brightness"]) for body in profiles] == [10, 10, 10]
    kept = plane.bodies(KeptImageBody)
    assert {(body.lane, body.group, body.inclusion_probability) for body in kept} == {
        ("audit", "board-7", 1.0)
    }
    assert plane.images[kept[0].image] == image
    assert len(kept[0].descriptor) == 32


def state_text(agent: AgentProcess) -> str:
    return (agent.home / "state.json").read_text()


def test_health_is_told_in_windows(serving, plane, image):
    for _ in range(12):
        serving.predict(image)
    serving.predict(b"no image")
    windows = plane.bodies
    wait_until(lambda: sum(body.n_requests for body in windows(HealthBody)) == 13, "all are told")
    assert sum(body.n_failed for body in windows(HealthBody)) == 0
    assert sum(sum(body.latency_counts) for body in windows(HealthBody)) == 13
    assert windows(HealthBody)[0].resident_bytes > 10 << 20


def test_an_orderly_end_closes_the_windows(serving, plane, image):
    for _ in range(7):
        serving.predict(image)
    assert serving.stop() == 0
    assert plane.bodies(ProfileBody) == []
    serving.start_again()
    wait_until(lambda: len(plane.bodies(ProfileBody)) == 1, "the window arrives")
    assert plane.bodies(ProfileBody)[0].profile.n_images == 7


def test_a_swap_closes_the_windows_of_the_bundle_that_left(serving, plane, bundles, image):
    for _ in range(5):
        serving.predict(image)
    plane.assign(bundles[1], version=2)
    wait_until(lambda: len(plane.bodies(ProfileBody)) == 1, "the window arrives")
    profile = plane.bodies(ProfileBody)[0].profile
    assert (profile.bundle, profile.n_images) == (bundles[0].digest, 5)


def test_images_are_redacted_before_they_are_kept(agent, plane, bundles, image, tmp_path):
    (tmp_path / "hooks.py").write_text("def blank(image):\n    return b'redacted'\n")
    plane.policies = [StreamPolicy(stream="cam1", audit_rate=1.0)]
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)
    flags = [*agent.flags, "--redaction", "hooks:blank"]
    redacting = AgentProcess(agent.home, *flags, environment={"PYTHONPATH": str(tmp_path)})
    redacting.start()
    wait_for(redacting, bundles[0])
    redacting.predict(image)
    wait_until(lambda: bool(plane.images), "an image is kept")
    assert list(plane.images.values()) == [b"redacted"]
    redacting.kill()


def test_an_image_whose_redaction_fails_is_not_kept(agent, plane, bundles, image, tmp_path):
    (tmp_path / "hooks.py").write_text("def fails(image):\n    raise ValueError('no face found')\n")
    plane.policies = [StreamPolicy(stream="cam1", audit_rate=1.0)]
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)
    flags = [*agent.flags, "--redaction", "hooks:fails"]
    redacting = AgentProcess(agent.home, *flags, environment={"PYTHONPATH": str(tmp_path)})
    redacting.start()
    wait_for(redacting, bundles[0])
    redacting.predict(image)
    wait_until(lambda: redacting.status().n_not_redacted == 1, "the failure is counted")
    assert redacting.status().n_kept == 0
    redacting.kill()


def test_a_redaction_hook_that_does_not_exist_is_told_and_held_against_no_bundle(
    agent, plane, bundles
):
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)
    wrong = AgentProcess(agent.home, *agent.flags, "--redaction", "nowhere:hook")
    wrong.start()
    report = wait_for_report(plane, state="failed", assigned=bundles[0].digest)
    assert "DEV-042" in report.problem
    assert report.quarantined == []
    wrong.kill()
    mended = AgentProcess(agent.home, "--redaction", "")
    mended.start()
    wait_for(mended, bundles[0])
    mended.kill()


def test_a_second_agent_on_the_same_home_ends_with_a_reason(serving):
    second = AgentProcess(serving.home)
    second.start()
    assert second.wait() == 1
    assert "DEV-003" in second.log.read_text()
    serving.stop()


def test_a_revoked_version_is_left_for_the_one_before_and_never_runs_again(
    serving, plane, bundles, image
):
    plane.assign(bundles[1], version=2)
    wait_for(serving, bundles[1])
    plane.repository.revoke("blobs", bundles[1].digest, reason="it misses scratches")
    wait_for(serving, bundles[0])
    report = wait_for_report(plane, state="failed", running=bundles[0].digest)
    assert "revoked by its owner: it misses scratches" in report.problem
    wait_until(lambda: not bundle_folder(serving, bundles[1]).exists(), "its files are gone")
    plane.assign(bundles[1], version=2)
    wait_for_report(plane, state="failed", counter=plane.counter, running=bundles[0].digest)
    plane.away = True
    serving.kill()
    serving.start_again()
    wait_for(serving, bundles[0])
    assert serving.predict(image).prediction().version == 1


def test_a_slot_whose_only_version_was_revoked_says_that_it_has_none(
    serving, plane, bundles, image
):
    plane.repository.revoke("blobs", bundles[0].digest)
    wait_until(lambda: serving.predict(image).status == 503, "nothing answers")
    plane.assign(bundles[1], version=2)
    wait_for(serving, bundles[1])
