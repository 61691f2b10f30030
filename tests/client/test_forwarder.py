"""Whatever fails and whenever: every record once, in order."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.client.errors import TargetAway, TargetRefused
from sightloop.client.forwarder import Forwarder, end_abandoned
from sightloop.client.spool import (
    MAIN,
    Batch,
    End,
    File,
    Head,
    PartWriter,
    Record,
    RunSpool,
    Sent,
    encode_line,
)
from sightloop.client.troubles import Troubles
from sightloop.contracts.tracking import MAX_POINTS, BeginTracking
from sightloop.testing.run_targets import Fault, MemoryTarget

RUN = "run_" + "0" * 22
HEAD = Head(begin=BeginTracking(run=RUN, started_at_ms=1), server="http://memory", workspace="")
END = End(state="finished", ended_at_ms=9)

points = st.lists(
    st.tuples(
        st.sampled_from(["loss", "ap"]), st.sampled_from([0.5, 1.0, "NaN"]), st.integers(0, 9)
    ),
    max_size=3,
)
texts = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=2)
faults = st.lists(st.sampled_from(["no answer", "answer lost", "none"]), max_size=30)


def write(root: Path, records: Sequence[Record], *, children: Sequence[Record] = ()) -> RunSpool:
    root.mkdir(parents=True, exist_ok=True)
    spool = RunSpool.create(root, HEAD)
    append(spool, MAIN, records)
    if children:
        append(spool, "child-1", children)
    return spool


def append(spool: RunSpool, part: str, records: Sequence[Record]) -> None:
    writer = PartWriter(spool.folder, part)
    for record in records:
        if isinstance(record, File):
            (spool.folder / "files" / record.file).write_bytes(record.name.encode())
        writer.append(encode_line(record))
    writer.close()


def forward_stubbornly(spool: RunSpool, target: MemoryTarget, *, forgets: bool = False) -> Troubles:
    """Try until it is done; with `forgets`, as a new process each time that lost its notes."""
    troubles = Troubles()
    forwarder = Forwarder(spool, target, troubles)
    for _ in range(200):
        try:
            forwarder.forward()
        except TargetAway:
            if forgets:
                for note in spool.folder.glob("*.sent"):
                    note.unlink()
                forwarder = Forwarder(spool, target, troubles)
            continue
        if forwarder.is_ended:
            return troubles
    raise AssertionError("the target never took the end")


@given(st.lists(st.tuples(points, texts), max_size=8), faults, st.booleans(), st.booleans())
def test_every_point_arrives_once_and_in_order_whatever_fails(
    logged: list[tuple[list[tuple[str, float, int]], dict[str, str]]],
    schedule: list[Fault],
    forgets: bool,
    has_child: bool,
):
    batches = [
        Batch(points=[(key, value, step, n) for key, value, step in measured], tags=tags)
        for n, (measured, tags) in enumerate(logged)
    ]
    target = MemoryTarget(schedule)
    with tempfile.TemporaryDirectory() as folder:
        child = [Batch(points=[("child", 1.0, 0, 0)])] if has_child else []
        spool = write(Path(folder), [*batches, END], children=child)
        forward_stubbornly(spool, target, forgets=forgets)
    arrived = [(k, str(v), s, t) for k, v, s, t in target.points[RUN] if k != "child"]
    wanted = [(k, str(float(v)), s, t) for batch in batches for k, v, s, t in batch.points]
    assert arrived == wanted
    assert len(target.points[RUN]) - len(arrived) == len(child)
    assert target.tags[RUN] == {k: v for batch in batches for k, v in batch.tags.items()}
    assert target.ends[RUN].state == "finished"


def test_a_failure_at_any_call_changes_nothing_of_what_arrives(tmp_path: Path):
    records = [
        Batch(points=[("loss", 0.5, 0, 1)]),
        File(name="best.pt", file="1", size_bytes=7),
        Batch(points=[("loss", 0.4, 1, 2)], params={"lr": "0.1"}),
        END,
    ]
    clean = MemoryTarget()
    forward_stubbornly(write(tmp_path / "clean", records), clean)
    for call in range(clean.n_calls):
        for fault in ("no answer", "answer lost"):
            target = MemoryTarget(["none"] * call + [fault])
            spool = write(tmp_path / f"{call}-{fault}", records)
            forward_stubbornly(spool, target, forgets=call % 2 == 0)
            assert (target.points, target.files) == (clean.points, clean.files)
            assert (target.params, target.ends) == (clean.params, clean.ends)


def test_small_batches_travel_together(tmp_path: Path):
    batches = [Batch(points=[("loss", 0.5, step, 1)]) for step in range(MAX_POINTS + 10)]
    target = MemoryTarget()
    forward_stubbornly(write(tmp_path, [*batches, END]), target)
    assert len(target.points[RUN]) == MAX_POINTS + 10
    assert target.n_calls == len(["begin", "full batch", "the rest", "end"])


def test_a_damaged_line_is_told_and_the_others_arrive(tmp_path: Path):
    spool = write(tmp_path, [Batch(points=[("loss", 0.5, n, 1)]) for n in range(3)] + [END])
    file = spool.folder / "main.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"loss"', b'"lass"')
    file.write_bytes(b"".join(lines))
    target = MemoryTarget()
    troubles = forward_stubbornly(spool, target)
    assert [step for _, _, step, _ in target.points[RUN]] == [0, 2]
    assert "1 × damaged lines in the spool" in troubles.lines()[0]
    assert "line 3 of main" in troubles.lines()[0]
    assert (tmp_path / "refused" / f"{RUN}.damaged").read_bytes() == lines[2]


def test_a_line_broken_off_by_a_crash_costs_only_itself(tmp_path: Path):
    whole = encode_line(Batch(points=[("loss", 0.1, 1, 5)]))
    for n_bytes in range(1, len(whole)):
        root = tmp_path / str(n_bytes)
        spool = write(root, [Batch(points=[("loss", 0.5, 0, 4)])])
        with (spool.folder / "main.jsonl").open("ab") as file:
            file.write(whole[:n_bytes])
        end_abandoned(spool, at_ms=7)
        target = MemoryTarget()
        forward_stubbornly(spool, target)
        arrived = [step for _, _, step, _ in target.points[RUN]]
        assert arrived in ([0], [0, 1])
        assert target.ends[RUN].state == "failed"
        assert target.ends[RUN].ended_at_ms in (4, 5)


def test_ending_an_abandoned_run_twice_ends_it_once(tmp_path: Path):
    spool = write(tmp_path, [Batch(points=[("loss", 0.5, 0, 4)])])
    end_abandoned(spool, at_ms=7)
    end_abandoned(spool, at_ms=8)
    ends = [line for line in spool.lines(MAIN, Sent()) if isinstance(line.record, End)]
    assert len(ends) == 1


def test_what_is_refused_is_set_aside_and_told(tmp_path: Path):
    file = File(name="a.txt", file="1", size_bytes=1)
    spool = write(tmp_path, [Batch(points=[("bad", 1.0, 0, 1)]), file, END])
    target = MemoryTarget()
    target.refused_keys = {"bad"}
    troubles = forward_stubbornly(spool, target)
    kept = (tmp_path / "refused" / f"{RUN}.jsonl").read_text()
    assert '"bad"' in kept
    assert "1 × records that were refused" in troubles.lines()[0]
    assert target.files == {(RUN, "a.txt"): b"a.txt"}


def test_a_refused_run_waits_whole(tmp_path: Path):
    class Refusing(MemoryTarget):
        def begin(self, request: BeginTracking) -> None:
            assert request.run == RUN
            raise TargetRefused(target="memory", problem="its experiment was deleted")

    spool = write(tmp_path, [Batch(points=[("loss", 1.0, 0, 1)]), END])
    with pytest.raises(TargetAway, match=r"experiment was deleted.*runs sync") as caught:
        Forwarder(spool, Refusing(), Troubles()).forward()
    assert caught.value.code == "TRACK-052"
    assert spool.sent(MAIN) == Sent()


def test_values_that_json_has_no_word_for_arrive(tmp_path: Path):
    batch = Batch(points=[("a", "NaN", 0, 1), ("a", "Infinity", 1, 1)])
    target = MemoryTarget()
    forward_stubbornly(write(tmp_path, [batch, END]), target)
    (_, first, _, _), (_, second, _, _) = target.points[RUN]
    assert math.isnan(first)
    assert second == math.inf
