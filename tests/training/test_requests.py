import msgspec
import pytest

from sightloop.training.errors import BadRequest
from sightloop.training.requests import TrainRequest, check_request, parameters_of

REQUEST = TrainRequest(
    run="run_1",
    experiment="parts",
    name="first",
    dataset_commit="main",
    epochs=3,
    image_size_px=64,
    batch_size=8,
)


def changed(**changes: object) -> TrainRequest:
    return msgspec.structs.replace(REQUEST, **changes)


def test_a_plain_request_is_accepted():
    check_request(REQUEST)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run": "../../etc"}, "run is '../../etc', but a run id has"),
        ({"run": ""}, "run is ''"),
        ({"run": "Run_1"}, "a-z, 0-9"),
        ({"experiment": ""}, "experiment is '', but it must have 1 to 250 characters"),
        ({"name": "n" * 251}, "it must have 1 to 250 characters"),
        ({"epochs": 0}, "epochs is '0', but it must lie between 1 and 100000"),
        ({"image_size_px": 16}, "image_size_px is '16'"),
        ({"batch_size": 0}, "batch_size is '0'"),
        ({"seed": -1}, "seed is '-1'"),
        ({"parity_images": -1}, "parity_images is '-1'"),
        ({"repeats": {"line=1": 0}}, r"repeats\[line=1\] is '0'"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_by_field(changes: dict[str, object], words: str):
    with pytest.raises(BadRequest, match=words) as caught:
        check_request(changed(**changes))
    assert caught.value.code == "TRAIN-010"


def test_a_recipe_records_every_setting_that_changes_the_model():
    others = [
        {"weights": "blobs"},
        {"epochs": 4},
        {"image_size_px": 96},
        {"batch_size": 4},
        {"device": "0"},
        {"parity_images": 1},
        {"parameters": {"lr0": 0.1}},
        {"parameters": {"lr0": "0.1"}},
        {"repeats": {"line=1": 2}},
    ]
    recipes = [parameters_of(changed(**other)) for other in [{}, *others]]
    assert len({tuple(sorted(recipe.items())) for recipe in recipes}) == len(recipes)


def test_a_request_with_an_unknown_field_is_refused():
    with pytest.raises(msgspec.ValidationError, match="unknown field `epoch`"):
        msgspec.convert(msgspec.to_builtins(REQUEST) | {"epoch": 3}, TrainRequest)
