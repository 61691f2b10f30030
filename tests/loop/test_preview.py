"""The replay counts what the record allows, and says what it cannot know."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.loop.policy import ModelPolicy, parse_policy
from sightloop.loop.preview import (
    DAY_MS,
    HOUR_MS,
    Past,
    PastIncident,
    PastLabel,
    PastTurn,
    Traffic,
    changed_rules,
    replay,
    unknowns,
)

CAM = ("dev_1", "line-7")
OTHER = ("dev_1", "line-8")


def rules(text: str = "{}") -> ModelPolicy:
    return parse_policy(f"models: {{pcb: {text}}}", where="loop.yaml").models["pcb"]


def loss(at_h: int, *, until_h: int | None = None, camera=CAM) -> PastIncident:
    closed = None if until_h is None else until_h * HOUR_MS
    return PastIncident(f"inc_{at_h}", "loss", camera, at_h * HOUR_MS, closed)


def inputs(at_h: int, *, until_h: int | None = None) -> PastIncident:
    return loss(at_h, until_h=until_h)._replace(kind="input", id=f"in_{at_h}")


def past(*, n_hours: int = 48, n_images: int = 100, **more) -> Past:
    traffic = {CAM: [Traffic(hour * HOUR_MS, n_images) for hour in range(n_hours)]}
    empty = Past(0, 30 * DAY_MS, [], [], [], traffic, {})
    return empty._replace(**more)


def labels(n: int, *, start_h: int = 1, stratum: str = "line=b", own: bool = True):
    return [PastLabel(start_h * HOUR_MS + i, [stratum], own) for i in range(n)]


def test_a_loss_incident_begins_a_turn_unless_the_rules_say_no():
    found = past(incidents=[loss(5)])
    assert [turn.subject for turn in replay(rules(), found).turns] == ["inc_5"]
    off = replay(rules("{retrain: {on_loss_incident: false}}"), found)
    assert (off.turns, off.n_passed_over, off.n_loss_incidents) == ([], 1, 1)


def test_an_incident_during_a_turn_begins_no_other():
    recorded = [PastTurn(1 * HOUR_MS, 4 * HOUR_MS, by_person=False)]  # a turn lasts three hours
    found = replay(rules(), past(incidents=[loss(5), loss(6), loss(9)], turns=recorded))
    assert [turn.subject for turn in found.turns] == ["inc_5", "inc_9"]
    assert found.n_passed_over == 1


def test_what_a_person_asked_for_stays_and_keeps_others_from_beginning():
    asked = [PastTurn(4 * HOUR_MS, 8 * HOUR_MS, by_person=True)]
    assert replay(rules(), past(incidents=[loss(5)], turns=asked)).turns == []


def test_labels_begin_a_turn_when_the_last_one_needed_comes_in():
    found = replay(rules("{retrain: {after_labels: 30}}"), past(labels=labels(50)))
    (turn,) = found.turns
    assert (turn.because, turn.subject, turn.at_ms) == ("labels", "line=b", HOUR_MS + 29)


def test_labels_from_before_the_period_count_until_a_turn_begins():
    found = past(labels=labels(5), labelled_before={"line=b": 27})
    (turn,) = replay(rules("{retrain: {after_labels: 30}}"), found).turns
    assert turn.at_ms == HOUR_MS + 2


def test_no_number_of_labels_begins_a_turn_when_the_rule_is_off():
    found = past(labels=labels(600))
    assert replay(rules("{retrain: {after_labels: 0}}"), found).turns == []


def test_labels_of_another_model_alone_begin_nothing():
    found = past(labels=labels(600, own=False))
    assert replay(rules("{retrain: {after_labels: 30}}"), found).turns == []


def test_the_audit_costs_its_rate_of_the_traffic_and_more_during_an_input_incident():
    policy = rules("{keep: {audit_rate: 0.1}, on_input_incident: {audit_rate: 0.5}}")
    calm = replay(policy, past())
    assert (calm.audit_labels, calm.audit_labels_per_day) == (
        pytest.approx(480),
        pytest.approx(240),
    )
    loud = replay(policy, past(incidents=[inputs(10, until_h=20)]))
    assert loud.audit_labels == pytest.approx(38 * 10 + 10 * 50)


def test_days_without_traffic_are_no_days_of_free_labels():
    assert replay(rules(), past(traffic={})).audit_labels_per_day is None


def test_people_are_asked_for_no_more_than_the_budget_or_than_there_was():
    found = past(incidents=[loss(5, until_h=6)])
    assert replay(rules("{retrain: {label_budget: 40}}"), found).n_asked_at_most == 40
    assert replay(rules("{retrain: {label_budget: 400}}"), found).n_asked_at_most == 100


def test_images_are_flagged_by_the_share_that_is_kept():
    found = past(incidents=[inputs(5, until_h=6)])
    policy = rules("{on_input_incident: {audit_rate: 0.2, drift_rate: 0.5, flag: 1000}}")
    assert replay(policy, found).n_flagged_at_most == 40


def test_another_camera_adds_nothing_to_an_incident():
    found = past(incidents=[loss(5, until_h=6, camera=OTHER)])
    assert replay(rules(), found).n_asked_at_most == 0


def test_changes_are_named_one_by_one():
    found = changed_rules(rules(), rules("{keep: {audit_rate: 0.5}, rings: [all]}"))
    assert [(one.rule, one.before, one.after) for one in found] == [
        ("keep.audit_rate", "0.02", "0.5"),
        ("rings", '["canary","fleet"]', '["all"]'),
    ]


def test_what_cannot_be_replayed_is_said():
    after = rules("{monitoring: {alpha_loss: 0.5}, recipe: {epochs: 9}, keep: {audit_rate: 0.5}}")
    said = unknowns(changed_rules(rules(), after))
    assert any("from the next release on" in one for one in said)
    assert any("recipe.epochs" in one and "keep" not in one for one in said)
    assert len(unknowns([])) == 1


def test_a_model_that_is_new_is_one_change():
    (change,) = changed_rules(None, rules())
    assert (change.rule, change.before, change.after) == ("the model", "not there", "looked after")


hours = st.integers(0, 700)
happenings = st.builds(
    lambda incidents, seen, asked: past(
        incidents=[loss(at, until_h=at + long) for at, long in incidents],
        labels=[PastLabel(at * HOUR_MS, ["line=b"], True) for at in seen],
        turns=[PastTurn(at * HOUR_MS, (at + long) * HOUR_MS, True) for at, long in asked],
    ),
    st.lists(st.tuples(hours, st.integers(1, 50)), max_size=8),
    st.lists(hours, max_size=40),
    st.lists(st.tuples(hours, st.integers(1, 50)), max_size=3),
)


@given(happenings, st.integers(0, 20), st.booleans(), st.integers(0, 300))
def test_turns_never_overlap_and_every_incident_is_counted_once(record, after, on_loss, budget):
    policy = msgspec.structs.replace(
        rules(),
        retrain=msgspec.structs.replace(
            rules().retrain, after_labels=after, on_loss_incident=on_loss, label_budget=budget
        ),
    )
    found = replay(policy, record)
    durations = sorted(turn.ended_at_ms - turn.opened_at_ms for turn in record.turns)
    lasts_ms = durations[len(durations) // 2] if durations else 0
    times = [turn.at_ms for turn in found.turns]
    assert times == sorted(times)
    assert all(b - a >= lasts_ms for a, b in pairwise(times))
    by_loss = sum(turn.because == "loss incident" for turn in found.turns)
    assert by_loss + found.n_passed_over == found.n_loss_incidents == len(record.incidents)
    assert found.n_asked_at_most <= budget * by_loss


@given(happenings, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_audit_rate_never_costs_fewer_labels(record, one, two):
    low, high = sorted((one, two))
    costs = [
        replay(rules(f"{{keep: {{audit_rate: {rate:.9f}}}}}"), record).audit_labels
        for rate in (low, high)
    ]
    assert costs[0] <= costs[1]
