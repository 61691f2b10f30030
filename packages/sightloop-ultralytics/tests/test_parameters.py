import pytest

from sightloop_ultralytics.errors import BadParameter, OwnedParameter, UnknownParameter
from sightloop_ultralytics.parameters import (
    EngineSettings,
    known_parameters,
    sort_parameters,
)

KNOWN = known_parameters()


def test_ultralytics_own_settings_are_known_without_importing_it():
    assert {"lr0", "optimizer", "mosaic", "plots", "cache"} <= KNOWN


def test_parameters_are_sorted_by_whom_they_concern():
    sorted_ = sort_parameters({"lr0": 0.01, "head": "end_to_end", "validate_every": 5}, KNOWN)
    assert sorted_.ultralytics == {"lr0": 0.01}
    assert sorted_.engine == EngineSettings(head="end_to_end", validate_every=5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lr", "did you mean lrf or lr0"),
        ("optimiser", "did you mean optimizer"),
        ("heads", "did you mean head"),
        ("zzzz", "nothing is named alike"),
    ],
)
def test_an_unknown_parameter_is_refused_with_what_it_resembles(name: str, words: str):
    with pytest.raises(UnknownParameter, match=words) as caught:
        sort_parameters({name: 1}, KNOWN)
    assert caught.value.code == "ENGINE-001"


@pytest.mark.parametrize("name", ["epochs", "data", "project", "resume", "nms", "val", "device"])
def test_what_the_job_decides_cannot_be_set_twice(name: str):
    with pytest.raises(OwnedParameter, match=f"parameter '{name}' cannot be set: ") as caught:
        sort_parameters({name: 1}, KNOWN)
    assert caught.value.code == "ENGINE-002"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"head": "both"}, "Invalid enum value 'both'"),
        ({"validate_every": 0}, "validate_every is 0"),
        ({"opset": "new"}, "Expected `int`"),
    ],
)
def test_a_useless_value_is_refused(parameters: dict[str, object], words: str):
    with pytest.raises(BadParameter, match=words) as caught:
        sort_parameters(parameters, KNOWN)
    assert caught.value.code == "ENGINE-003"
