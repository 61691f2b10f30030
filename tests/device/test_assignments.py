import msgspec
import pytest

from sightloop.contracts.assignment import Assignment
from sightloop.device.assignments import Accepted, accept
from sightloop.device.errors import AssignmentForAnother, OldCounter, UnknownSlot
from sightloop.kernel.digests import digest_of

BUNDLE = digest_of(b"bundle")
ASSIGNMENT = Assignment(
    device="device_1",
    slot="main",
    model="pcb",
    version=3,
    bundle=BUNDLE,
    counter=7,
    issued_at_ms=1,
)
PAYLOAD = digest_of(b"signed bytes")


def judge(assignment: Assignment = ASSIGNMENT, **changes: object) -> object:
    arguments = {
        "key_id": "key_1",
        "device": "device_1",
        "slots": ["main", "side"],
        "before": None,
    } | changes
    return accept(assignment, PAYLOAD, **arguments)  # type: ignore[arg-type]


def accepted(counter: int, payload: bytes = b"signed bytes", *, key_id: str = "key_1") -> Accepted:
    return Accepted(
        payload=digest_of(payload),
        counter=counter,
        model="pcb",
        version=3,
        bundle=BUNDLE,
        key_id=key_id,
    )


def test_a_first_assignment_is_accepted_and_remembered_whole():
    assert judge() == accepted(7)


def test_the_same_assignment_again_is_known():
    assert judge(before=accepted(7)) == "known"


def test_a_higher_counter_is_accepted():
    assert judge(before=accepted(6, b"older")) == accepted(7)


@pytest.mark.parametrize("seen", [7, 8])
def test_a_counter_that_was_passed_or_reused_is_refused(seen: int):
    with pytest.raises(OldCounter, match=f"counter 7, but {seen} was already accepted") as caught:
        judge(before=accepted(seen, b"other"))
    assert caught.value.code == "DEV-022"


def test_a_counter_that_a_thief_drove_up_is_worth_nothing_under_the_next_key():
    assert judge(before=accepted(1 << 60, b"other", key_id="stolen")) == accepted(7)


def test_a_memory_without_a_key_counts_as_the_same_key():
    with pytest.raises(OldCounter):
        judge(before=accepted(8, b"other", key_id=""))


def test_an_assignment_for_another_device_is_refused():
    with pytest.raises(AssignmentForAnother, match="for device_1, this is device_2") as caught:
        judge(device="device_2")
    assert caught.value.code == "DEV-020"


def test_an_assignment_for_a_slot_the_device_lacks_is_refused():
    with pytest.raises(UnknownSlot, match="slot 'rear', this device has main, side") as caught:
        judge(msgspec.structs.replace(ASSIGNMENT, slot="rear"))
    assert caught.value.code == "DEV-021"
