"""A declaration is understood, or refused with its place, its field, its value and the reason."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sightloop.training.sweeps.declaring import declare_sweep
from sightloop.training.sweeps.errors import BadSweep
from sightloop.training.sweeps.spec import FloatRange, SweepSpec

GOOD = """\
name: lr
engine: yolo26
epochs: 9
fixed:
  optimizer: SGD
space:
  lr0: {type: float, low: 1e-4, high: 0.1, log: true}
  batch_size:
    type: categorical
    choices: [8, 16]
  momentum: {type: float, low: 0.5, high: 0.9, when: {optimizer: SGD}}
objectives:
  - metric: metrics/mAP50(B)
  - {metric: latency_ms, direction: minimize}
pruner: {kind: asha, min_epochs: 1}
trials: 12
"""


def declared(text: str = GOOD, **flags: Any) -> SweepSpec:
    return declare_sweep(text, where="sweep.yaml", flags=flags)


def test_a_declaration_says_what_it_means():
    spec = declared()
    assert list(spec.space) == ["lr0", "batch_size", "momentum"]
    assert spec.space["lr0"] == FloatRange(low=0.0001, high=0.1, log=True)
    assert spec.directions == ["maximize", "minimize"]
    assert spec.pruning_objective is spec.objectives[0]
    assert (spec.trials, spec.sampler, spec.runs_experiment) == (12, "tpe", "lr")


def test_flags_replace_fields_and_add_to_the_space():
    extra = {"warmup": {"type": "int", "low": 0, "high": 3}}
    spec = declared(trials=3, space=extra, fixed={"cos_lr": True})
    assert (spec.trials, list(spec.space)) == (3, ["lr0", "batch_size", "momentum", "warmup"])
    assert spec.fixed == {"optimizer": "SGD", "cos_lr": True}


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("low: 1e-4", "low: 0", 7, "space.lr0.low is '0.0', but with `log: true`"),
        ("high: 0.1,", "high: 1e-4,", 7, "space.lr0.high is '0.0001', but it must be greater"),
        ("high: 0.1,", "high: .inf,", 7, "bounds must be finite"),
        ("high: 0.1,", "hihg: 0.1,", 7, "space.lr0.hihg is '0.1', but there is no such field"),
        ("log: true", "log: maybe", 7, "space.lr0.log is 'maybe', but expected `bool`"),
        ("type: categorical", "type: choice", 9, "space.batch_size.type is 'choice'"),
        ("choices: [8, 16]", "choices: []", 10, "1 to 1000 choices"),
        ("choices: [8, 16]", "choices: [8, 8]", 10, "a choice comes twice"),
        ("choices: [8, 16]", f"choices: [8, {'9' * 400}]", 10, "stay below 2**53"),
        ("choices: [8, 16]", "choices: [8, .nan]", 10, "finite"),
        ("optimizer: SGD\nspace", f"o: {'9' * 400}\nspace", 5, "stay below 2**53"),
        (
            "lr0: {type: float, low: 1e-4, high: 0.1",
            f"n: {{type: int, low: 1, high: {'9' * 400}",
            7,
            "2**53",
        ),
        ("choices: [8, 16]", "choices: [8, 0]", 10, "batch_size is a whole number between 1"),
        ("choices: [8, 16]", "choices: [8, 1.5]", 10, "batch_size is a whole number"),
        ("when: {optimizer", "when: {nesterov", 11, "neither fixed nor varied before momentum"),
        ("optimizer: SGD\nspace", "optimizer: auto\nspace", 7, "yolo26 chooses lr0 itself"),
        ("  lr0: {type: float, low: 1e-4, high", "  lr0: {type: float, low: 1e-4, x", 7, "no such"),
        ("optimizer: SGD\nspace", "epochs: 3\nspace", 5, "set epochs beside `fixed`"),
        ("  lr0:", "  seed:", 7, "it cannot vary: set the sweep's seed"),
        ("  lr0:", "  lr.0:", 7, "letters, digits and _ only"),
        ("direction: minimize", "direction: down", 14, "objectives[1].direction is 'down'"),
        ("direction: minimize", "direction: maximize", 14, "latency is to be minimized"),
        ("metric: latency_ms", "metric: metrics/mAP50(B)", 14, "the metric comes twice"),
        ("min_epochs: 1", "min_epochs: 9", 15, "with 9 epochs nobody would ever be given up"),
        ("min_epochs: 1", "metric: latency_ms", 15, "an objective that the engine reports"),
        ("trials: 12", "trials: 0", 16, "trials is '0', but it must lie between 1 and 10,000"),
        ("trials: 12", "trials: twelve", 16, "trials is 'twelve', but expected `int`"),
        ("trials: 12", "trails: 12", 16, "trails is '12', but there is no such field"),
        ("trials: 12", "trials: 12\ntrials: 13", 17, "the key comes twice"),
        ("trials: 12", "sampler: grid", 7, "a grid goes in equal steps"),
        ("trials: 12", "trials: [", 17, "it is not YAML"),
        ("engine: yolo26", "engine: &a yolo26\ndata: *a", 3, "aliases are not read"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_line(before, after, line, said):
    text = GOOD.replace(before, after)
    assert text != GOOD
    with pytest.raises(BadSweep) as caught:
        declared(text)
    assert caught.value.message.startswith(f"sweep.yaml, line {line}: ")
    assert said in caught.value.message
    assert caught.value.code == "TRAIN-070"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing required field `name`"),
        ("- a", "a sweep is a mapping"),
        ("name: x", "a sweep needs 1 to 50 settings to vary; this one has 0"),
        ("a: " + "[" * 30 + "]" * 30, "nested more than 20 deep"),
        ("a" * 100_001, "100000 are the most"),
        ("name: x\nspace: 3", "space is '3', but it must be a mapping"),
        ("name: \x00", "it is not YAML"),
    ],
)
def test_what_is_no_sweep_at_all_is_refused(text, said):
    with pytest.raises(BadSweep) as caught:
        declared(text)
    assert said in caught.value.message


def test_a_flag_that_is_wrong_is_named_as_one():
    with pytest.raises(BadSweep, match="the command's options: trials is '-1'"):
        declared(trials=-1)
    wrong = {"lr0": {"type": "float", "low": 3, "high": 2}}
    with pytest.raises(BadSweep, match=r"the command's options: space.lr0.high is '2.0'"):
        declared(space=wrong)


@pytest.mark.parametrize(
    ("optimizer", "when", "is_fine"),
    [
        (["SGD", "AdamW"], {}, True),
        (["SGD", "auto"], {}, False),
        (["SGD", "auto"], {"optimizer": "SGD"}, True),
        (["SGD", "auto"], {"optimizer": ["auto"]}, False),
    ],
)
def test_a_learning_rate_varies_only_where_the_optimizer_is_ours(optimizer, when, is_fine):
    values = yaml.safe_load(GOOD)
    values["fixed"] = {}
    varied = {"type": "categorical", "choices": optimizer}
    rate = {"type": "float", "low": 0.01, "high": 0.1, "when": when}
    values["space"] = {"optimizer": varied, "lr0": rate}
    if is_fine:
        assert "lr0" in declared(yaml.safe_dump(values, sort_keys=False)).space
    else:
        with pytest.raises(BadSweep, match="chooses lr0 itself while its optimizer is auto"):
            declared(yaml.safe_dump(values, sort_keys=False))


def test_a_learning_rate_under_the_engines_own_default_is_refused():
    text = GOOD.replace("  optimizer: SGD\n", "  cos_lr: true\n").replace(
        ", when: {optimizer: SGD}", ""
    )
    with pytest.raises(BadSweep, match=r"line 7: .* set `fixed: {optimizer: SGD}`"):
        declared(text)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    """The good declaration with something else in one place."""
    values = yaml.safe_load(GOOD)
    node: Any = values
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        inner = node[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
            node[key] = draw(ANYTHING)
            return values
        node = inner


@given(spoiled())
def test_whatever_stands_somewhere_a_sweep_or_one_clear_error_comes_of_it(values):
    said = refusal_of(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    assert said == "" or "line" in said or "missing" in said or "needs" in said


@given(st.text(max_size=60))
def test_no_text_brings_anything_but_our_own_error(text):
    assert "docs/sweeps.md" in refusal_of(text)


def refusal_of(text: str) -> str:
    """What the refusal says, or "" when there is none; anything else fails the test."""
    try:
        declared(text)
    except BadSweep as error:
        return error.message
    return ""
