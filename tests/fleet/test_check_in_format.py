from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.assignment import Assignment, SignedAssignment
from sightloop.contracts.check_in import (
    CheckIn,
    CheckInReply,
    EnrolReply,
    EnrolRequest,
    SlotReport,
    StreamDeclaration,
    StreamPolicy,
)
from sightloop.contracts.decode import WrongFormat, decode, encode
from sightloop.kernel.digests import Digest

GOLDEN = Path(__file__).parents[1] / "golden"
OLD, NEW = Digest("sha256:" + "0a" * 32), Digest("sha256:" + "0b" * 32)
NOW_MS = 1_700_000_000_000

ASSIGNMENT = Assignment(
    device="dev_0001",
    slot="main",
    model="pcb",
    version=4,
    bundle=NEW,
    counter=7,
    issued_at_ms=NOW_MS,
)
AGENT_ASSIGNMENT = Assignment(
    device="dev_0001",
    slot="@agent",
    model="@agent",
    version=2,
    bundle=OLD,
    counter=3,
    issued_at_ms=NOW_MS,
)
RECORDS = {
    "enrol.json": EnrolRequest(
        name="hall-2-line-b",
        device_class="x86-64, 2 cores",
        agent_version="0.1.0",
        capabilities=["onnxruntime"],
    ),
    "enrol-reply.json": EnrolReply(
        device="dev_0001", token="a-token-of-its-own", update_root=b'{"signed":{"_type":"root"}}'
    ),
    "check-in.json": CheckIn(
        device="dev_0001",
        agent_version="0.1.0",
        capabilities=["onnxruntime"],
        boot="boot_0003",
        at_ms=NOW_MS,
        streams=[StreamDeclaration("cam-1", "main", "product_line=92000")],
        slots=[
            SlotReport(
                slot="main",
                state="failed",
                running=OLD,
                assigned=NEW,
                counter=7,
                golden_passed=True,
                n_requests=1200,
                n_failed=0,
                latency_p95_ms=14.5,
                problem="golden image 2 differs",
                quarantined=[NEW],
            )
        ],
        n_spooled=3,
        agent_release=OLD,
        agent_problem="release 4 did not become healthy",
    ),
    "check-in-reply.json": CheckInReply(
        assignments=[SignedAssignment(encode(ASSIGNMENT), "6f" * 32, "3045" + "00" * 4)],
        policies=[StreamPolicy(stream="cam-1", audit_rate=0.2)],
        next_check_in_s=60.0,
        server_time_ms=NOW_MS,
        update_version=12,
        agent=SignedAssignment(encode(AGENT_ASSIGNMENT), "6f" * 32, "3045" + "00" * 4),
    ),
    "assignment.json": ASSIGNMENT,
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_reads_and_writes_as_its_golden_file(name: str):
    golden, record = (GOLDEN / name).read_bytes(), RECORDS[name]
    assert decode(golden, type(record), what=name) == record
    assert msgspec.json.format(encode(record), indent=2) + b"\n" == golden


@pytest.mark.parametrize("name", RECORDS)
def test_a_later_format_is_refused_by_name(name: str):
    later = encode(RECORDS[name]).replace(b'/1"', b'/2"', 1)
    with pytest.raises(WrongFormat, match="/2"):
        decode(later, type(RECORDS[name]), what=name)


def test_a_report_of_an_agent_that_knows_no_quarantine_is_read_as_none():
    content = encode(RECORDS["check-in.json"]).replace(
        b',"quarantined":["' + NEW.encode() + b'"]', b""
    )
    assert b"quarantined" not in content
    assert decode(content, CheckIn, what="x").slots[0].quarantined == []


def test_an_assignment_carries_its_signed_bytes_unchanged():
    reply = decode(encode(RECORDS["check-in-reply.json"]), CheckInReply, what="x")
    assert reply.assignments[0].payload == encode(ASSIGNMENT)
