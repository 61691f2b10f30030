from sightloop.kernel import events
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.workspace import Workspace
from sightloop.loop.turns import (
    Trigger,
    Turn,
    TurnState,
    current_turn,
    get_turn,
    list_turns,
    move_turn,
    open_turn,
)


def turn(name: str = "turn_1", model: str = "pcb") -> Turn:
    return Turn(
        id=name,
        model=model,
        trigger=Trigger("person", "anna", "asked"),
        focus="",
        state=TurnState.COLLECTING,
        reason="asked",
        champion=None,
        run=None,
        version=None,
        verdict=None,
        rollout=None,
        opened_at_ms=1,
        moved_at_ms=1,
    )


def opened(workspace: Workspace, one: Turn) -> bool:
    with workspace.db.write() as tx:
        return open_turn(tx, one, by=LOCAL)


def moved(workspace: Workspace, to: TurnState, **changes) -> Turn:
    with workspace.db.write() as tx:
        return move_turn(tx, get_turn(tx, "turn_1"), to=to, by=LOCAL, at_ms=9, **changes)


def test_a_model_has_one_turn_under_way(workspace: Workspace):
    assert opened(workspace, turn())
    assert not opened(workspace, turn("turn_2"))
    assert opened(workspace, turn("turn_3", model="shelf"))


def test_opening_the_same_turn_again_changes_nothing(workspace: Workspace):
    opened(workspace, turn())
    moved(workspace, TurnState.RELEASED)
    assert not opened(workspace, turn())
    with workspace.db.read() as tx:
        assert get_turn(tx, "turn_1").state is TurnState.RELEASED


def test_a_turn_that_ended_makes_room_for_the_next(workspace: Workspace):
    opened(workspace, turn())
    moved(workspace, TurnState.REFUSED, reason="the gate said no")
    with workspace.db.read() as tx:
        assert current_turn(tx, "pcb") is None
    assert opened(workspace, turn("turn_2"))


def test_what_a_station_made_stays_on_the_turn(workspace: Workspace):
    opened(workspace, turn())
    moved(workspace, TurnState.TRAINING, run="run_1")
    moved(workspace, TurnState.GATING, version=2)
    with workspace.db.read() as tx:
        found = get_turn(tx, "turn_1")
    assert (found.run, found.version, found.reason) == ("run_1", 2, "asked")


def test_every_move_is_told(workspace: Workspace):
    opened(workspace, turn())
    moved(workspace, TurnState.TRAINING)
    moved(workspace, TurnState.FAILED, reason="no disk")
    with workspace.db.read() as tx:
        told = [(event.kind, event.data["state"]) for event in events.history(tx)]
    assert told == [
        ("turn.opened", "collecting labels"),
        ("turn.moved", "training"),
        ("turn.ended", "failed"),
    ]


def test_turns_are_listed_oldest_first(workspace: Workspace):
    opened(workspace, turn())
    opened(workspace, turn("turn_0", model="shelf"))
    with workspace.db.read() as tx:
        assert [one.id for one in list_turns(tx, model="pcb")] == ["turn_1"]
