from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.telemetry import DroppedBody, Lane
from sightloop.device.drop_order import DROP_ORDER, Sacrifice, Shelf, make_room, shelf_of

SIZES = st.dictionaries(st.sampled_from(DROP_ORDER), st.lists(st.integers(1, 50), max_size=5))


def test_audit_images_are_given_up_last():
    assert DROP_ORDER[-1] == "audit"


def test_every_lane_has_a_shelf():
    assert set(get_args(Lane)) <= set(DROP_ORDER)


def test_what_was_dropped_is_told_like_a_swap():
    assert shelf_of(DroppedBody(n_envelopes=1, by_kind={"health": 1})) == "notice"


def test_nothing_is_given_up_while_there_is_room():
    assert make_room({"audit": [90]}, incoming="health", incoming_bytes=10, limit_bytes=100) == []


def test_the_oldest_of_the_least_worth_go_first_and_no_more_than_needed():
    sizes: dict[Shelf, list[int]] = {"uncertain": [30, 30], "profile": [20], "audit": [20]}
    room = make_room(sizes, incoming="audit", incoming_bytes=20, limit_bytes=100)
    assert room == [Sacrifice("uncertain", 1)]
    room = make_room(sizes, incoming="audit", incoming_bytes=70, limit_bytes=100)
    assert room == [Sacrifice("uncertain", 2), Sacrifice("profile", 1)]


def test_a_message_never_pushes_out_what_is_worth_more():
    sizes: dict[Shelf, list[int]] = {"profile": [50], "audit": [50]}
    assert make_room(sizes, incoming="uncertain", incoming_bytes=10, limit_bytes=100) is None


@given(SIZES, st.sampled_from(DROP_ORDER), st.integers(1, 200))
def test_after_making_room_the_message_fits(
    sizes: dict[Shelf, list[int]], incoming: Shelf, incoming_bytes: int
):
    room = make_room(sizes, incoming=incoming, incoming_bytes=incoming_bytes, limit_bytes=100)
    if room is None:
        return
    left = {shelf: list(segments) for shelf, segments in sizes.items()}
    for shelf, n_segments in room:
        assert DROP_ORDER.index(shelf) <= DROP_ORDER.index(incoming)
        del left[shelf][:n_segments]
    assert sum(map(sum, left.values())) + incoming_bytes <= 100
