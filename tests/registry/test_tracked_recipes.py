import pytest

from sightloop.registry.errors import RunLacks, RunNotPackable
from sightloop.registry.tracked_recipes import recipe_of

SETTINGS = {"task": "detect", "imgsz": "640"}


@pytest.mark.parametrize(
    ("artifacts", "chosen"),
    [
        (["weights/last.pt", "weights/best.pt", "args.yaml"], "weights/best.pt"),
        (["last.pt", "extra.pt"], "last.pt"),
        (["mine/net.pt"], "mine/net.pt"),
    ],
)
def test_the_best_weights_are_taken(artifacts, chosen):
    assert recipe_of("r", artifacts, SETTINGS).weights == chosen


def test_weights_that_are_named_are_taken_before_the_best():
    artifacts = ["weights/best.pt", "odd.bin"]
    assert recipe_of("r", artifacts, SETTINGS, weights="odd.bin").weights == "odd.bin"


def test_a_run_without_weights_is_refused():
    with pytest.raises(RunNotPackable, match="none of its artifacts is a checkpoint"):
        recipe_of("r", ["args.yaml"], SETTINGS)


def test_weights_that_are_not_there_are_refused_by_name():
    with pytest.raises(RunNotPackable, match=r"no artifact 'best\.pt'"):
        recipe_of("r", ["weights/best.pt"], SETTINGS, weights="best.pt")


def test_two_files_that_could_be_the_weights_ask_for_a_choice():
    with pytest.raises(RunLacks, match=r"a\.pt, b\.pt.*--weights NAME") as caught:
        recipe_of("r", ["a.pt", "b.pt"], SETTINGS)
    assert caught.value.code == "REG-016"


def test_a_model_of_an_unknown_task_is_refused_before_anything_is_started():
    with pytest.raises(RunNotPackable, match="its task is 'depth'"):
        recipe_of("r", ["best.pt"], {**SETTINGS, "task": "depth"})


@pytest.mark.parametrize(
    ("text", "size_px"), [("640", 640), ("100", 128), ("[480, 640]", 640), ("(320, 256)", 320)]
)
def test_the_input_is_the_square_that_ultralytics_trained_on(text, size_px):
    assert recipe_of("r", ["best.pt"], {"imgsz": text}).image_size_px == size_px


@pytest.mark.parametrize("text", ["", "large", "-3", "0", "99999999", "[]"])
def test_a_size_that_is_none_is_asked_for(text):
    with pytest.raises(RunLacks, match="--image-size PIXELS"):
        recipe_of("r", ["best.pt"], {"imgsz": text} if text else {})


def test_the_head_is_the_one_that_was_trained_for():
    assert recipe_of("r", ["best.pt"], {**SETTINGS, "nms": "False"}).head == "end_to_end"
    assert recipe_of("r", ["best.pt"], SETTINGS).head == "raw"
    assert recipe_of("r", ["best.pt"], SETTINGS, head="end_to_end").head == "end_to_end"
