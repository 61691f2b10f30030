import pytest

from sightloop.demo.policy import GENERATED, REPLAY, demo_policy, write_policy
from sightloop.loop.errors import BadPolicy
from sightloop.loop.policy import ModelPolicy, parse_policy
from sightloop.loop.policy_file import read_policy


def parse(text: str):
    return parse_policy(text, where="loop.yaml")


def test_a_model_without_any_rule_gets_every_default():
    assert parse("models:\n  pcb: {}\n").models == {"pcb": ModelPolicy()}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("models:\n  pcb:\n    retrian: {}\n", "retrian"),
        ("models:\n  pcb:\n    retrain: {label_budget: -1}\n", r"label_budget"),
        ("models:\n  pcb:\n    recipe: {image_size_px: 100}\n", r"image_size_px"),
        ("models:\n  pcb:\n    on_input_incident: {audit_rate: 1.5}\n", r"audit_rate"),
        ("version: 2\n", "version"),
        ("models: [pcb]\n", "models"),
        ("models: {pcb: {}\n", "loop.yaml"),
    ],
)
def test_what_is_not_known_or_out_of_bounds_is_named_and_refused(text: str, named: str):
    with pytest.raises(BadPolicy, match=named) as caught:
        parse(text)
    assert caught.value.code == "LOOP-001"


def test_a_workspace_without_a_policy_looks_after_no_model(workspace):
    assert read_policy(workspace).models == {}


@pytest.mark.parametrize("scale", [GENERATED, REPLAY])
def test_the_policy_of_the_demo_survives_being_written_and_read(workspace, scale):
    policy = demo_policy(scale, slice_field="line", image_size_px=160)
    write_policy(policy, workspace.root)
    assert read_policy(workspace) == policy
