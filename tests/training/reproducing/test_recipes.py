"""A recorded run gives back the very request it was made from."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.kernel.digests import digest_of
from sightloop.kernel.environment import capture_environment
from sightloop.tracking.values import CodeState, Run, RunId, RunInputs
from sightloop.training.reproducing.environments import build_environment
from sightloop.training.reproducing.errors import EnvironmentUnavailable, NoRecipe
from sightloop.training.reproducing.recipes import request_of
from sightloop.training.reproducing.requirements import needed_by, requirements_text
from sightloop.training.requests import TrainRequest, parameters_of

DIGEST = digest_of(b"commit")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
requests = st.builds(
    TrainRequest,
    run=st.just("run_1"),
    experiment=st.text(min_size=1, max_size=8),
    name=st.text(min_size=1, max_size=8),
    dataset_commit=st.just(DIGEST),
    engine=st.sampled_from(["yolo26", "tiny"]),
    weights=st.text(min_size=1, max_size=8),
    epochs=st.integers(1, 1000),
    image_size_px=st.integers(32, 640),
    batch_size=st.integers(1, 64),
    seed=st.integers(0, 2**31 - 1),
    parameters=st.dictionaries(st.text(min_size=1, max_size=6), values, max_size=4),
    repeats=st.dictionaries(st.text(min_size=1, max_size=6), st.integers(1, 100), max_size=3),
    parity_images=st.integers(0, 20),
)


def recorded(request: TrainRequest) -> Run:
    inputs = RunInputs(
        dataset_commit=DIGEST,
        code=CodeState(commit=None, patch=None, dirty=False),
        parameters=parameters_of(request) | {"weights_digest": DIGEST},
        engine=request.engine,
        engine_version="",
        environment=DIGEST,
        seed=request.seed,
        threads=1,
        hardware="",
    )
    return Run(
        id=RunId(request.run),
        experiment=request.experiment,
        name=request.name,
        state="finished",
        inputs=inputs,
        outputs={},
        attempts=1,
        started_at_ms=0,
        ended_at_ms=1,
        exit_reason="done",
    )


@given(requests)
def test_a_recorded_request_is_read_back_as_it_was(request):
    assert request_of(recorded(request)) == request


def test_a_record_without_a_setting_names_what_is_lacking():
    request = TrainRequest(
        run="r", experiment="e", name="n", dataset_commit="c", epochs=1, image_size_px=32,
        batch_size=1,
    )  # fmt: skip
    run = recorded(request)
    fewer = {k: v for k, v in run.training.parameters.items() if k != "epochs"}
    run = msgspec.structs.replace(
        run, inputs=msgspec.structs.replace(run.training, parameters=fewer)
    )
    with pytest.raises(NoRecipe, match=r"run r cannot be reproduced.*epochs") as caught:
        request_of(run)
    assert caught.value.code == "TRAIN-060"


def test_the_list_to_install_leaves_out_what_comes_from_a_checkout():
    listed = {"Sightloop_Ultralytics": "0.1", "torch": "2.13.0", "Numpy": "2.3.0"}
    text = requirements_text(listed, without=["sightloop_ultralytics"])
    assert text == "numpy==2.3.0\ntorch==2.13.0\n"


graphs = st.dictionaries(
    st.sampled_from("abcde"), st.lists(st.sampled_from("abcde"), max_size=4), max_size=5
)


@given(graphs, st.sampled_from("abcde"))
def test_whatever_is_needed_needs_nothing_beyond_what_is_needed(requires, root):
    needed = needed_by(root, requires)
    assert root in needed
    assert all(set(requires.get(name, ())) <= needed for name in needed)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("numpy", "2.3.0\n--index-url http://evil.example"),
        ("numpy @ http://evil.example/x.whl", "1"),
        ("--index-url=http://evil.example", "1"),
        ("-e git+https://evil.example/x", "1"),
        ("numpy", "2.3.0 ; python_version"),
        ("numpy", ""),
        ("numpy\n", "1"),
    ],
)
def test_a_record_that_would_tell_the_installer_more_than_names_is_refused(name, version):
    with pytest.raises(EnvironmentUnavailable, match="no package and its version"):
        requirements_text({name: version}, without=())


@pytest.mark.parametrize("python", ["CPython /tmp/evil/python", "CPython --help", "CPython 3", ""])
def test_a_recorded_interpreter_that_is_no_version_is_refused(python, tmp_path):
    recorded = msgspec.structs.replace(capture_environment(), python=python)
    with pytest.raises(EnvironmentUnavailable, match="no version of Python"):
        build_environment(recorded, cache=tmp_path, without=(), progress=lambda *_: None)
    assert not list(tmp_path.iterdir())
