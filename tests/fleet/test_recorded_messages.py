"""Messages of earlier agents and servers, kept as they were sent, and read by those of today.

Every file in tests/golden/recorded/ is named after the month of the first release that sent it.
None of them is ever changed; one leaves when its month is out of the window of
docs/formats/versions.md.
"""

from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.assignment import Assignment
from sightloop.contracts.check_in import CheckIn, CheckInReply, EnrolReply, EnrolRequest
from sightloop.contracts.decode import decode
from sightloop.contracts.telemetry import TelemetryBatch
from sightloop.fleet.check_ins import check_in

RECORDED = Path(__file__).parents[1] / "golden" / "recorded"
KINDS = {
    "check-in": CheckIn,
    "check-in-reply": CheckInReply,
    "enrol": EnrolRequest,
    "enrol-reply": EnrolReply,
    "assignment": Assignment,
    "telemetry": TelemetryBatch,
}
MESSAGES = [path for path in sorted(RECORDED.glob("*.json")) if path.stem[8:] in KINDS]


class OldReply(msgspec.Struct, frozen=True, kw_only=True):
    """How the agent of 2026-11 reads a reply: these fields, and no others."""

    assignments: list[dict[str, str]]
    policies: list[dict[str, object]]
    next_check_in_s: float
    server_time_ms: int


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_a_recorded_message_is_read_by_todays_program(path):
    assert decode(path.read_bytes(), KINDS[path.stem[8:]], what=path.name)


def test_there_are_recorded_messages_of_every_kind():
    assert {path.stem[8:] for path in MESSAGES} == set(KINDS)


def test_an_agent_that_was_away_checks_in_as_it_always_did_and_understands_the_reply(
    workspace, release, enrol
):
    release(champion=True)
    device = enrol("hall-2-line-b")
    recorded = (RECORDED / "2026-11-check-in.json").read_bytes()
    content = recorded.replace(b"dev_0001", device.id.encode())
    request = decode(content, CheckIn, what="a check-in")
    reply = msgspec.json.encode(check_in(workspace, device.call, request))
    understood = msgspec.json.decode(reply, type=OldReply)
    assert len(understood.assignments) == 1
    assert set(understood.assignments[0]) == {"payload", "key_id", "signature"}


def test_an_old_agent_is_sent_nothing_that_it_did_not_say_it_can_do(workspace, enrol):
    device = enrol("line-1")
    assert device.check_in().agent is None
