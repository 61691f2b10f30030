import sys

import pytest

from sightloop.kernel.config import TrainingConfig
from sightloop.training.engines import find_engine, known_engines
from sightloop.training.errors import EngineUnknown

CONFIGURED = TrainingConfig(commands={"mine": ["/opt/mine/train", "--quiet"]})


def test_an_installed_engine_is_started_as_a_module_of_this_interpreter():
    engine = find_engine("yolo26", TrainingConfig())
    assert engine.command == [sys.executable, "-m", "sightloop_ultralytics"]
    assert engine.version.startswith("sightloop-ultralytics ")


def test_finding_engines_imports_none_of_them():
    before = set(sys.modules)
    known_engines(TrainingConfig())
    assert not {"torch", "ultralytics", "sightloop_ultralytics"} & (set(sys.modules) - before)


def test_a_configured_command_is_an_engine():
    assert find_engine("mine", CONFIGURED).command == ["/opt/mine/train", "--quiet"]


def test_a_configured_command_wins_over_an_installed_engine():
    config = TrainingConfig(commands={"yolo26": ["/opt/fork"]})
    assert find_engine("yolo26", config).command == ["/opt/fork"]


def test_an_unknown_engine_is_refused_with_those_there_are():
    with pytest.raises(
        EngineUnknown, match="no engine 'yolo27'; known are: mine, yolo26"
    ) as caught:
        find_engine("yolo27", CONFIGURED)
    assert caught.value.code == "TRAIN-001"
    assert caught.value.facts["known"] == ["mine", "yolo26"]
