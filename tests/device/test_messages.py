from hypothesis import given
from hypothesis import strategies as st

from sightloop.device.framing import Frames
from sightloop.device.messages import Look, NotAnswered, frame, read_to_worker

NUMBERS = st.integers(0, 2**40)
LOOKS = st.lists(st.builds(Look, NUMBERS, NUMBERS, NUMBERS, st.text()))


@given(LOOKS, st.integers(1, 7))
def test_messages_arrive_whole_and_in_order_whatever_pieces_they_come_in(
    looks: list[Look], n_bytes: int
):
    stream = b"".join(frame(look) for look in looks)
    frames = Frames()
    pieces = [stream[begin : begin + n_bytes] for begin in range(0, len(stream), n_bytes)]
    received = [content for piece in pieces for content in frames.feed(piece)]
    assert [read_to_worker(content) for content in received] == looks


def test_a_message_knows_its_kind():
    (content,) = Frames().feed(frame(Look(1, 2, 3, "")))
    assert read_to_worker(content) == Look(1, 2, 3, "")
    assert frame(NotAnswered(1, unreadable=True, problem="")) != frame(Look(1, 2, 3, ""))
