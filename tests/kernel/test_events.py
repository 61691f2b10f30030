import threading

import pytest

from sightloop.kernel import events
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.database import Database, Tx
from sightloop.kernel.events import Consumer, Event, EventKind
from sightloop.kernel.workspace import Workspace

pytestmark = pytest.mark.both_databases

LOOP = Consumer("loop")
MADE = EventKind("thing.made")
BROKEN = EventKind("thing.broken")


def tell(db: Database, subject: str, kind: EventKind = MADE) -> int:
    with db.write() as tx:
        return events.tell(tx, kind, subject, by=LOCAL, at_ms=5, data={"size": 1})


def subscribe(db: Database, *kinds: EventKind, consumer: Consumer = LOOP) -> None:
    with db.write() as tx:
        events.subscribe(tx, consumer, kinds)


def handle(db: Database, seen: list[str], *, now_ms: int = 0) -> Event | None:
    return events.handle_next(
        db, LOOP, lambda _tx, event: seen.append(event.subject), now_ms=now_ms
    )


def test_events_reach_a_subscriber_in_order_and_once(workspace: Workspace):
    subscribe(workspace.db, MADE)
    for subject in "abc":
        tell(workspace.db, subject)
    seen: list[str] = []
    while handle(workspace.db, seen):
        pass
    assert seen == ["a", "b", "c"]


def test_an_event_of_another_kind_is_not_delivered(workspace: Workspace):
    subscribe(workspace.db, MADE)
    tell(workspace.db, "a", BROKEN)
    assert handle(workspace.db, []) is None


def test_every_subscriber_gets_its_own_copy(workspace: Workspace):
    subscribe(workspace.db, MADE)
    subscribe(workspace.db, MADE, consumer=Consumer("pages"))
    tell(workspace.db, "a")
    with workspace.db.read() as tx:
        assert [events.waiting(tx, Consumer(name)) for name in ("loop", "pages")] == [1, 1]


def test_an_event_rolled_back_was_never_told(workspace: Workspace):
    subscribe(workspace.db, MADE)
    with pytest.raises(ValueError, match="stop"), workspace.db.write() as tx:
        events.tell(tx, MADE, "a", by=LOCAL, at_ms=5)
        raise ValueError("stop")
    assert handle(workspace.db, []) is None


def test_a_handler_that_fails_leaves_nothing_and_gets_the_event_again_later(workspace: Workspace):
    subscribe(workspace.db, MADE)
    tell(workspace.db, "a")

    def write_then_fail(tx: Tx, _event: Event) -> None:
        events.tell(tx, BROKEN, "half done", by=LOCAL, at_ms=5)
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        events.handle_next(workspace.db, LOOP, write_then_fail, now_ms=0, retry_after_ms=100)
    seen: list[str] = []
    assert handle(workspace.db, seen, now_ms=99) is None
    assert handle(workspace.db, seen, now_ms=100) is not None
    with workspace.db.read() as tx:
        assert [event.kind for event in events.history(tx)] == [MADE]


def test_a_failing_event_does_not_hold_up_the_ones_behind_it(workspace: Workspace):
    subscribe(workspace.db, MADE)
    tell(workspace.db, "bad")
    tell(workspace.db, "good")

    def fail(_tx: Tx, _event: Event) -> None:
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        events.handle_next(workspace.db, LOOP, fail, now_ms=0)
    seen: list[str] = []
    handle(workspace.db, seen)
    assert seen == ["good"]


def test_no_event_is_lost_or_doubled_with_several_writers_and_workers(workspace: Workspace):
    subscribe(workspace.db, MADE)
    seen: list[str] = []

    def write(name: str) -> None:
        for index in range(25):
            tell(workspace.db, f"{name}{index}")

    def work() -> None:
        for _ in range(200):
            handle(workspace.db, seen)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    threads += [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while handle(workspace.db, seen):
        pass
    assert sorted(seen) == sorted(f"{name}{index}" for name in "ab" for index in range(25))


def test_a_clock_set_back_does_not_hide_an_event(workspace: Workspace):
    subscribe(workspace.db, MADE)
    with workspace.db.write() as tx:
        events.tell(tx, MADE, "a", by=LOCAL, at_ms=10_000_000)
    assert handle(workspace.db, [], now_ms=0) is not None
