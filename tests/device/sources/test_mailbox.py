import threading

from hypothesis import given
from hypothesis import strategies as st

from sightloop.device.sources.mailbox import Mailbox


@given(st.lists(st.sampled_from(["put", "take", "garbage"])))
def test_every_picture_is_taken_dropped_garbage_or_still_there(steps: list[str]):
    mailbox: Mailbox[int] = Mailbox()
    n_put = n_taken = n_garbage = 0
    is_full = False
    for step in steps:
        if step == "put":
            mailbox.put(n_put)
            n_put, is_full = n_put + 1, True
        elif step == "garbage":
            mailbox.note_garbage()
            n_garbage += 1
        elif is_full:
            assert mailbox.take() == n_put - 1  # always the newest
            n_taken, is_full = n_taken + 1, False
    counts = mailbox.counts
    assert counts.n_seen == n_put + n_garbage
    assert counts.n_garbage == n_garbage
    assert counts.n_dropped == n_put - n_taken - is_full


def test_what_was_left_before_the_end_is_still_taken():
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put("last")
    mailbox.close("unplugged")
    mailbox.close("something later")
    assert mailbox.take() == "last"
    assert mailbox.take() is None
    assert mailbox.reason == "unplugged"


def test_files_wait_their_turn_and_none_is_dropped():
    mailbox: Mailbox[int] = Mailbox()

    def fill() -> None:
        for index in range(50):
            mailbox.put_in_turn(index)
        mailbox.close("")

    threading.Thread(target=fill, daemon=True).start()
    taken = []
    while (item := mailbox.take()) is not None:
        taken.append(item)
    assert taken == list(range(50))
    assert mailbox.counts.n_dropped == 0
