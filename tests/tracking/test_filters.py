"""Filters: what MLflow's clients write is read, and what cannot be read is pointed at."""

import pytest

from sightloop.tracking.errors import BadFilter
from sightloop.tracking.filters import (
    MODEL_VERSIONS,
    RUNS,
    Comparison,
    Sorting,
    parse_filter,
    parse_order,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.ap > 0.5", Comparison("metric", "ap", ">", 0.5)),
        ("metric.`val/ap 50` <= -1e-3", Comparison("metric", "val/ap 50", "<=", -0.001)),
        ("metrics.val.loss != 3", Comparison("metric", "val.loss", "!=", 3.0)),
        ('params."lr 0" LIKE \'%a%\'', Comparison("param", "lr 0", "LIKE", "%a%")),
        ("tags.line IS NOT NULL", Comparison("tag", "line", "IS NOT NULL", None)),
        ("tag.`mlflow.prompt.is_prompt` != 'true'",
         Comparison("tag", "mlflow.prompt.is_prompt", "!=", "true")),
        ("status = 'FINISHED'", Comparison("attribute", "status", "=", "FINISHED")),
        ("attributes.run_id NOT IN ('a', 'b')",
         Comparison("attribute", "run_id", "NOT IN", ("a", "b"))),
        ("run.start_time >= 1700000000000",
         Comparison("attribute", "start_time", ">=", 1.7e12)),
        ("dataset.digest in ('x')", Comparison("dataset", "digest", "IN", ("x",))),
        ("params.x = 'it\\'s'", Comparison("param", "x", "=", "it's")),
    ],
)  # fmt: skip
def test_a_condition_is_read(text, expected):
    assert parse_filter(text, RUNS) == [expected]


def test_conditions_are_joined_by_and():
    assert len(parse_filter("metrics.a > 1 and params.b = 'x' AND tags.c = 'y'", RUNS)) == 3


def test_nothing_is_no_condition():
    assert parse_filter("  ", RUNS) == []


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("metrics.ap > 'x'", 14, "a number is expected"),
        ("metrics.ap > 1 or metrics.b > 2", 18, "joined by AND"),
        ("params.x > 'a'", 9, "does not go with"),
        ("colour.x = 'a'", 1, "there is no 'colour'"),
        ("size = 'a'", 1, "there is no attribute 'size'"),
        ("metrics.ap >", 13, "ends too early"),
        ("tags.x = y", 10, "a text in quotes"),
        ("run_id IN ('a'", 15, "not closed"),
        ("(metrics.a > 1)", 1, "a name is expected"),
        ("dataset.size = 'x'", 1, "a dataset has"),
        ("tags.x ~ 'y'", 7, "nothing can begin"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text, at, problem):
    with pytest.raises(BadFilter, match=problem) as caught:
        parse_filter(text, RUNS)
    assert caught.value.facts["at"] == at


def test_a_language_knows_its_own_attributes_only():
    assert parse_filter("source_path = 'x'", MODEL_VERSIONS)
    with pytest.raises(BadFilter):
        parse_filter("source_path = 'x'", RUNS)


def test_an_order_has_terms_with_directions():
    assert parse_order(["metrics.ap DESC", "start_time", "tags.`a b` asc"], RUNS) == [
        Sorting("metric", "ap", False),
        Sorting("attribute", "start_time", True),
        Sorting("tag", "a b", True),
    ]


@pytest.mark.parametrize("term", ["metrics.ap UP", "metrics.ap DESC, x", "dataset", ""])
def test_an_order_that_cannot_be_read_is_refused(term):
    with pytest.raises(BadFilter):
        parse_order([term], RUNS)
