import pytest

from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.registry import store
from sightloop.registry.aliases import ALIAS_MOVED, SetAlias, set_alias
from sightloop.registry.errors import AliasMoved, BadAliasName, NotReleasable
from sightloop.testing.workspaces import LOCAL_CALL


def point(workspace, alias, number, **more):
    request = SetAlias(model="pcb", alias=alias, number=number, **more)
    return set_alias(workspace, LOCAL_CALL, request)


def moves(workspace):
    with workspace.db.read() as tx:
        return [event for event in history(tx) if event.kind == ALIAS_MOVED]


def test_an_alias_finds_its_version(workspace, made_up):
    version = made_up()
    point(workspace, "challenger", 1)
    with workspace.db.read() as tx:
        assert store.find_version(tx, "pcb@challenger") == version
        assert store.find_version(tx, "pcb@1") == version


def test_an_alias_that_points_nowhere_is_not_found(workspace, made_up):
    made_up()
    with workspace.db.read() as tx, pytest.raises(NotFound, match="alias 'pcb@champion'"):
        store.find_version(tx, "pcb@champion")


def test_the_champion_needs_a_verdict(workspace, made_up):
    made_up()
    with pytest.raises(NotReleasable, match="nobody has gated it") as caught:
        point(workspace, "champion", 1)
    assert caught.value.code == "REG-020"


def test_the_champion_needs_a_passing_verdict_and_is_told_which_rules_failed(
    workspace, made_up, judged
):
    judged(made_up(), "fail")
    with pytest.raises(
        NotReleasable, match=r"pcb@1 cannot become champion: .*overall \(fail\): 0\.7 is below 0\.8"
    ):
        point(workspace, "champion", 1)
    assert moves(workspace) == []


def test_the_latest_verdict_counts(workspace, made_up, judged):
    version = made_up()
    judged(version, "fail")
    judged(version, "pass")
    assert point(workspace, "champion", 1).number == 1
    judged(version, "inconclusive")
    with pytest.raises(NotReleasable, match="inconclusive"):
        point(workspace, "champion", 1)


def test_other_aliases_are_free(workspace, made_up):
    made_up()
    assert point(workspace, "challenger", 1).number == 1


def test_a_move_is_one_event_and_the_same_again_none(workspace, made_up):
    made_up(), made_up()
    point(workspace, "challenger", 1)
    point(workspace, "challenger", 2)
    point(workspace, "challenger", 2)
    data = [event.data for event in moves(workspace)]
    assert [(one["number"], one["previous"]) for one in data] == [(1, None), (2, 1)]


@pytest.mark.parametrize("expected", [None, 2])
def test_an_alias_that_somebody_else_moved_stays_where_it_is(workspace, made_up, expected):
    made_up(), made_up()
    point(workspace, "challenger", 1)
    with pytest.raises(AliasMoved, match="pcb@challenger points at version 1") as caught:
        point(workspace, "challenger", 2, expected=expected)
    assert caught.value.code == "REG-021"
    assert point(workspace, "challenger", 2, expected=1).number == 2


def test_there_must_be_such_a_version(workspace, made_up):
    made_up()
    with pytest.raises(NotFound, match="pcb@7"):
        point(workspace, "challenger", 7)


def test_a_number_is_no_alias(workspace, made_up):
    made_up()
    with pytest.raises(BadAliasName):
        point(workspace, "7", 1)


def test_an_engineer_moves_no_alias(workspace, made_up):
    made_up()
    engineer = Call(Actor(ActorId("eve"), "person", Role.ENGINEER))
    with pytest.raises(NotAllowed, match="release"):
        set_alias(workspace, engineer, SetAlias(model="pcb", alias="challenger", number=1))
