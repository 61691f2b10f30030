"""A device measures how to run its bundle and keeps what is gated; a stale build never runs."""

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.builds import BuildKey, BuildReport, find_gated, scaled_on
from sightloop.contracts.bundle import Detection, GoldenImage
from sightloop.contracts.gated_builds import GatedBuild, GatedBundle
from sightloop.device.build_cache import BuildCache
from sightloop.device.builds import build_for, find_build, key_of
from sightloop.device.bundle_files import file_path
from sightloop.device.errors import NoModelYet, StaleBuild, TuningAlready
from sightloop.device.messages import Start
from sightloop.device.model_worker import load_model
from sightloop.device.settings import AgentSettings
from sightloop.device.state import AgentState, Installed, SlotMemory, StateFile
from sightloop.device.tune import TuneRequest, _alone, choose, run_trial, tune
from sightloop.device.tune_trial import TrialOrder, TrialResult, measure
from sightloop.device.tuned import TUNING_NAME, Choice, Tuned, keep_tuning, read_tuning
from sightloop.inference.images import decode_picture
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import Refused
from sightloop.testing.bundles import ToyBundle, make_toy_bundle
from sightloop.testing.clock import ManualClock

KEY = BuildKey(
    model=digest_of(b"model"), runtime="openvino", runtime_version="1", precision="fp32",
    hardware="here",
)  # fmt: skip
SETTINGS = AgentSettings(home="/nowhere")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToyBundle:
    return make_toy_bundle(tmp_path_factory.mktemp("toy"), n_reference=4)


@pytest.fixture
def home(tmp_path: Path, toy: ToyBundle) -> Path:
    """A home whose main slot runs the toy bundle."""
    install(tmp_path, toy)
    return tmp_path


def install(home: Path, toy: ToyBundle) -> Path:
    folder = home / "bundles" / toy.digest.removeprefix("sha256:")
    for name, content in toy.files.items():
        path = file_path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "bundle.json").write_bytes(toy.manifest_bytes)
    running = Installed(bundle=toy.digest, model="blobs", version=3)
    memory = SlotMemory(current=running)
    StateFile(home / "state.json").change(lambda _: AgentState(slots={"main": memory}))
    return folder


def vouch(
    home: Path,
    toy: ToyBundle,
    *ways: tuple[str, str],
    device_class: str = "",
    golden: Sequence[GoldenImage] = (),
) -> None:
    """Let the device know that the owner vouches for these ways to run the bundle."""
    scaled = scaled_on(toy.manifest.file(one.file).digest for one in toy.manifest.golden)
    builds = [
        GatedBuild(
            device_class=device_class,
            runtime=runtime,
            precision=precision,
            images=scaled if precision == "int8" else None,
            golden=list(golden),
        )
        for runtime, precision in ways
    ]
    listed = [GatedBundle(bundle=toy.digest, version=3, builds=builds)]
    StateFile(home / "state.json").change(
        lambda state: msgspec.structs.replace(state, gated={"blobs": listed})
    )


def speeds(**ms: float):
    """A trial that answers at once: so many milliseconds for each runtime."""

    def trial(order: TrialOrder) -> TrialResult:
        ours = ms[order.runtime] / order.threads
        return TrialResult(durations_ms=[ours] * 4, resident_bytes=1 << 20)

    return trial


def tuned(home: Path, trial, **changes):
    request = msgspec.structs.replace(
        TuneRequest(precisions=["fp32"], threads=[1], rounds=2, seconds=0.0), **changes
    )
    return tune(home, SETTINGS, request, clock=ManualClock(), trial=trial)


# --- what is chosen ------------------------------------------------------------------------------


def test_a_faster_way_that_is_not_gated_is_reported_and_not_chosen(home):
    result = tuned(home, speeds(onnxruntime=9, openvino=5))
    assert [(one.runtime, one.is_gated, one.is_chosen) for one in result.candidates] == [
        ("openvino", False, False),
        ("onnxruntime", True, True),
    ]
    assert result.choice.key.runtime == "onnxruntime"


def test_a_faster_way_that_is_gated_for_this_class_is_chosen(home, toy):
    vouch(home, toy, ("openvino", "fp32"), device_class="cpu")
    result = tuned(home, speeds(onnxruntime=9, openvino=5))
    assert (result.choice.key.runtime, result.choice.threads) == ("openvino", 1)
    assert read_tuning(home).bundles[toy.digest].choice == result.choice


def test_a_build_of_another_class_or_scaled_on_other_images_is_a_candidate():
    key = msgspec.structs.replace(KEY, precision="int8", images=digest_of(b"golden"))
    build = GatedBuild(
        device_class="box", runtime="openvino", precision="int8", images=digest_of(b"golden")
    )
    others = msgspec.structs.replace(key, images=digest_of(b"others"))
    assert find_gated(key, [build], device_class="box")
    assert not find_gated(key, [build], device_class="jetson")
    assert not find_gated(others, [build], device_class="box")
    assert find_gated(key, [msgspec.structs.replace(build, device_class="")], device_class="jetson")


def test_an_int8_build_scaled_on_the_devices_own_images_is_reported_and_not_used(
    home, toy, tmp_path
):
    vouch(home, toy, ("onnxruntime", "int8"))
    own = tmp_path / "own"
    own.mkdir()
    (own / "1.jpg").write_bytes(toy.files["golden/0.jpg"])
    ways = {"runtimes": ["onnxruntime"], "precisions": ["int8"]}
    golden = tuned(home, speeds(onnxruntime=9), **ways)
    other = tuned(home, speeds(onnxruntime=9), images=str(own), **ways)
    assert [one.is_gated for one in (*golden.candidates, *other.candidates)] == [True, False]
    assert golden.candidates[0].images != other.candidates[0].images


def test_the_number_of_threads_is_chosen_too(home):
    result = tuned(home, speeds(onnxruntime=9, openvino=50), threads=[1, 2])
    assert result.choice.threads == 2


def test_measuring_only_keeps_nothing(home):
    tuned(home, speeds(onnxruntime=9, openvino=5), is_kept=False)
    assert not (home / TUNING_NAME).exists()


def report(**changes) -> BuildReport:
    known = BuildReport(
        runtime="openvino", runtime_version="1", precision="int8", threads=1, p50_ms=1, p99_ms=2,
        n_runs=9, resident_bytes=1, golden_problem="", is_gated=True,
    )  # fmt: skip
    return msgspec.structs.replace(known, **changes)


def test_what_sees_something_else_than_the_golden_images_promise_is_never_chosen():
    slow = report(p50_ms=7)
    assert choose([report(golden_problem="class 1 was not found"), slow]) is slow
    assert choose([report(problem="it crashed"), report(is_gated=False)]) is None


# --- when something is missing or fails ----------------------------------------------------------


def test_a_runtime_that_is_not_installed_is_a_line_in_the_table(home):
    result = tuned(home, speeds(onnxruntime=9), runtimes=["onnxruntime", "tensorrt"])
    missing = result.candidates[-1]
    assert (missing.runtime, missing.problem) == (
        "tensorrt",
        "tensorrt is not installed on this machine",
    )
    assert result.choice.key.runtime == "onnxruntime"


def test_a_build_that_fails_is_a_line_in_the_table_and_leaves_nothing(home, monkeypatch):
    def fail(*_: object) -> None:
        raise Refused("no room in the accelerator")

    monkeypatch.setattr("sightloop.inference.building.convert_to_openvino", fail)
    result = tuned(home, speeds(onnxruntime=9, openvino=5))
    assert "no room in the accelerator" in result.candidates[-1].problem
    assert result.choice.key.runtime == "onnxruntime"
    assert [one.name for one in (home / "builds").rglob("*") if one.is_file()] == ["lock"]


def test_a_trial_whose_process_ends_without_a_word_tells_how_it_ended(monkeypatch, home, toy):
    monkeypatch.setattr("sys.executable", "/bin/false")
    order = TrialOrder(
        folder="x", bundle=toy.digest, model_file="x", runtime="onnxruntime", threads=1, seconds=0
    )
    assert run_trial(order).problem == "its process ended with 1"


def test_a_slot_without_a_bundle_cannot_be_tuned(home):
    with pytest.raises(NoModelYet):
        tuned(home, speeds(onnxruntime=9, openvino=5), slot="side")


def test_two_processes_do_not_tune_one_device_at_once(home):
    with _alone(home), pytest.raises(TuningAlready, match="being tuned by another") as caught:
        tuned(home, speeds(onnxruntime=9, openvino=5))
    assert caught.value.code == "DEV-005"


def test_a_damaged_choice_is_no_choice(home):
    (home / TUNING_NAME).write_bytes(b"{half")
    assert read_tuning(home).bundles == {}
    tuned(home, speeds(onnxruntime=9, openvino=5))
    assert len(read_tuning(home).bundles) == 1


# --- builds on the disk --------------------------------------------------------------------------


def fill(folder: Path) -> str:
    (folder / "model.xml").write_bytes(b"graph")
    (folder / "model.bin").write_bytes(b"weights")
    return "model.xml"


def test_a_build_is_made_once_for_its_key(tmp_path):
    cache = BuildCache(tmp_path)
    first = cache.make(KEY, fill)
    assert first.read_bytes() == b"graph"
    assert cache.make(KEY, lambda _: pytest.fail("it is there")) == first


@pytest.mark.parametrize(
    "changed",
    [{"runtime_version": "2"}, {"hardware": "a new driver"}, {"precision": "int8"},
     {"model": digest_of(b"another")}, {"images": digest_of(b"images")}],
)  # fmt: skip
def test_another_driver_library_or_model_needs_another_build(tmp_path, changed):
    cache = BuildCache(tmp_path)
    cache.make(KEY, fill)
    assert cache.find(msgspec.structs.replace(KEY, **changed)) is None


@pytest.mark.parametrize("name", ["model.xml", "model.bin", "build.json"])
def test_a_build_with_a_flipped_bit_is_not_found_and_made_anew(tmp_path, name):
    cache = BuildCache(tmp_path)
    path = cache.make(KEY, fill).with_name(name)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    assert cache.find(KEY) is None
    cache.make(KEY, fill)
    assert cache.find(KEY) is not None


class PowerCut(Exception):
    pass


@pytest.mark.parametrize("step", ["write_atomic", "sync_filesystem", "sync_folder"])
def test_a_power_cut_while_building_leaves_no_half_build_and_a_repeat_works(
    tmp_path, monkeypatch, step
):
    def cut(*_: object) -> None:
        raise PowerCut

    cache = BuildCache(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(f"sightloop.device.build_cache.{step}", cut)
        with pytest.raises(PowerCut):
            cache.make(KEY, fill)
    found = BuildCache(tmp_path).find(KEY)
    assert found is None or found.read_bytes() == b"graph"
    assert cache.make(KEY, fill).read_bytes() == b"graph"


def test_what_a_cut_left_in_the_incoming_folder_is_in_nobodys_way(tmp_path):
    left = tmp_path / "incoming" / KEY.digest.removeprefix("sha256:")
    left.mkdir(parents=True)
    (left / "model.bin").write_bytes(b"half")
    built = BuildCache(tmp_path).make(KEY, fill)
    assert built.with_name("model.bin").read_bytes() == b"weights"
    assert not left.exists()


def test_builds_that_nobody_wants_any_more_are_removed(tmp_path):
    cache, newer = BuildCache(tmp_path), msgspec.structs.replace(KEY, hardware="a new driver")
    cache.make(KEY, fill)
    cache.make(newer, fill)
    cache.keep_only([newer])
    assert (cache.find(KEY), cache.find(newer) is None) == (None, False)


# --- real runtimes -------------------------------------------------------------------------------


def started(home: Path, toy: ToyBundle, choice: Choice | None) -> Start:
    return Start(
        folder=str(home / "bundles" / toy.digest.removeprefix("sha256:")), bundle=toy.digest,
        threads=1, max_pixels=10**6, strata=[], redaction="", max_batch=1, background=False,
        n_buffers=1, buffer_bytes=1,
        choice=choice, device_class="cpu",
        gated=StateFile(home / "state.json").now.gated_builds("blobs", toy.digest),
    )  # fmt: skip


@pytest.fixture
def proved(tmp_path: Path, toy: ToyBundle) -> ToyBundle:
    """A bundle of which every build that can be made here is gated, installed."""
    install(tmp_path, toy)
    vouch(tmp_path, toy, ("openvino", "fp32"), ("openvino", "int8"), ("onnxruntime", "int8"))
    return toy


def built(home: Path, toy: ToyBundle, runtime: str, precision: str) -> Choice:
    folder = home / "bundles" / toy.digest.removeprefix("sha256:")
    images = [file_path(folder, one.file) for one in toy.manifest.golden]
    key = key_of(toy.manifest, runtime, precision, images)
    build_for(key, toy.manifest, folder, BuildCache(home / "builds"), images=images)
    return Choice(key=key, threads=1)


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [("openvino", "fp32"), ("openvino", "int8"), ("onnxruntime", "int8")],
)
def test_a_worker_runs_the_build_that_was_chosen(tmp_path, proved, runtime, precision):
    pytest.importorskip("openvino")
    choice = built(tmp_path, proved, runtime, precision)
    model = load_model(started(tmp_path, proved, choice))
    assert (model.choice_problem, model.runtime.split()[0]) == ("", runtime)
    content = proved.files["golden/0.jpg"]
    found = model.detector.detect(decode_picture(content, name="golden"))
    wanted = proved.manifest.golden[0].detections
    assert [one.class_index for one in found if one.score >= 0.5] == [
        one.class_index for one in wanted
    ]


def test_after_a_change_of_driver_a_worker_runs_the_bundle_as_released(tmp_path, proved):
    choice = built(tmp_path, proved, "openvino", "fp32")
    old = msgspec.structs.replace(choice.key, hardware="an older driver")
    model = load_model(started(tmp_path, proved, Choice(key=old, threads=1)))
    assert model.runtime.startswith("onnxruntime")
    assert "another processor, device or driver" in model.choice_problem


def test_a_damaged_build_does_not_keep_a_worker_from_serving(tmp_path, proved):
    choice = built(tmp_path, proved, "openvino", "fp32")
    path = BuildCache(tmp_path / "builds").find(choice.key)
    path.write_bytes(b"damaged")
    model = load_model(started(tmp_path, proved, choice))
    assert model.runtime.startswith("onnxruntime")
    assert "damaged or not on the disk" in model.choice_problem


def test_a_build_that_was_never_gated_is_not_put_to_work(tmp_path, toy):
    install(tmp_path, toy)
    choice = built(tmp_path, toy, "openvino", "fp32")
    model = load_model(started(tmp_path, toy, choice))
    assert "it is not gated for 'cpu'" in model.choice_problem


def test_a_gated_build_is_held_to_what_the_gate_saw_of_it(tmp_path, toy):
    install(tmp_path, toy)
    first = toy.manifest.golden[0]
    lie = msgspec.structs.replace(first, detections=[Detection(0, 0.9, 1, 1, 2, 2)])
    vouch(tmp_path, toy, ("onnxruntime", "int8"), golden=[lie])
    model = load_model(started(tmp_path, toy, built(tmp_path, toy, "onnxruntime", "int8")))
    assert model.runtime.startswith("onnxruntime")
    assert "fp32" in model.runtime
    assert "does not run correctly here" in model.choice_problem
    report = tuned(tmp_path, None, runtimes=["onnxruntime"], precisions=["int8"], rounds=1)
    assert "does not run correctly here" in report.candidates[0].golden_problem
    assert report.choice is None


def test_a_library_of_another_version_makes_the_build_stale(tmp_path, proved):
    choice = built(tmp_path, proved, "openvino", "fp32")
    older = msgspec.structs.replace(choice.key, runtime_version="2020.1")
    folder = tmp_path / "bundles" / proved.digest.removeprefix("sha256:")
    with pytest.raises(StaleBuild, match=r"made for openvino 2020\.1, here is") as caught:
        find_build(older, proved.manifest, folder)
    assert caught.value.code == "DEV-006"


def test_a_trial_measures_a_real_model(tmp_path, proved):
    folder = tmp_path / "bundles" / proved.digest.removeprefix("sha256:")
    order = TrialOrder(
        folder=str(folder), bundle=proved.digest,
        model_file=str(file_path(folder, "model.onnx")), runtime="onnxruntime", threads=1,
        seconds=0.01,
    )  # fmt: skip
    result = measure(order)
    assert result.golden_problem == result.problem == ""
    assert len(result.durations_ms) > 0
    assert result.resident_bytes > 1 << 20


@pytest.mark.processes
def test_tuning_with_real_processes_ends_with_a_choice_that_a_worker_takes(tmp_path, proved):
    result = tune(
        tmp_path,
        SETTINGS,
        TuneRequest(threads=[1], rounds=1, seconds=0.02),
        clock=ManualClock(),
        rng=random.Random(1),
    )
    assert {(one.runtime, one.precision) for one in result.candidates if one.n_runs} >= {
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
    }
    model = load_model(started(tmp_path, proved, result.choice))
    assert model.choice_problem == ""


def test_keeping_a_choice_for_one_bundle_leaves_the_others(tmp_path):
    nothing = Tuned(measured_at_ms=1, choice=None, reports=[])
    for name in (b"first", b"second"):
        keep_tuning(tmp_path, digest_of(name), nothing)
    assert set(read_tuning(tmp_path).bundles) == {digest_of(b"first"), digest_of(b"second")}
