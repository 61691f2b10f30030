"""A value is worked out once, whoever waits for it and however long."""

import threading

import pytest

from sightloop.datasets.prepared import Pending, Prepared


def test_those_who_ask_at_once_share_one_making():
    made, go, prepared = [], threading.Event(), Prepared[str, int](keep=2)

    def make(note):
        note("counting", 1, 2)
        go.wait(5)
        made.append(1)
        return 7

    while (found := prepared.get("a", make, patience_s=0.01)) != Pending("counting", 1, 2):
        assert isinstance(found, Pending)
    go.set()
    assert prepared.get("a", make) == 7
    assert prepared.get("a", make, patience_s=0.0) == 7
    assert made == [1]


def test_a_failure_is_told_and_not_remembered():
    prepared = Prepared[str, int](keep=2)

    def fail(note):
        raise LookupError("no such commit")

    with pytest.raises(LookupError, match="no such commit"):
        prepared.get("a", fail)
    assert prepared.get("a", lambda _: 3) == 3


def test_the_one_asked_for_longest_ago_is_forgotten():
    made, prepared = [], Prepared[str, str](keep=2)
    for key in "aabaca":
        prepared.get(key, lambda _, key=key: made.append(key) or key)
    assert "".join(made) == "abc"
    prepared.get("b", lambda _: made.append("b") or "b")
    assert made[-1] == "b"
