import pytest

from sightloop.kernel import tokens
from sightloop.kernel.actors import Actor, ActorId, NotAllowed, Permission, Role, require
from sightloop.kernel.errors import Unauthenticated
from sightloop.kernel.workspace import Workspace

pytestmark = pytest.mark.both_databases

ANNA = ActorId("anna")


def issue(workspace: Workspace, **kwargs) -> str:
    with workspace.db.write() as tx:
        return tokens.issue(
            tx, actor=ANNA, kind="person", role=Role.ANNOTATOR, now_ms=1000, **kwargs
        )


def actor_of(workspace: Workspace, token: str, *, now_ms: int = 1000) -> Actor:
    with workspace.db.read() as tx:
        return tokens.actor_of(tx, token, now_ms=now_ms)


def test_a_token_names_its_actor(workspace: Workspace):
    assert actor_of(workspace, issue(workspace)) == Actor(ANNA, "person", Role.ANNOTATOR)


def test_the_database_does_not_hold_the_token(workspace: Workspace):
    token = issue(workspace)
    workspace.db.close()
    stored = b"".join(path.read_bytes() for path in workspace.state.glob("sightloop.db*"))
    assert token.encode() not in stored


def test_an_unknown_token_is_refused_with_advice(workspace: Workspace):
    with pytest.raises(Unauthenticated, match="Authorization: Bearer"):
        actor_of(workspace, "guessed")


def test_an_expired_token_is_refused(workspace: Workspace):
    token = issue(workspace, lifetime_ms=50)
    assert actor_of(workspace, token, now_ms=1049)
    with pytest.raises(Unauthenticated):
        actor_of(workspace, token, now_ms=1050)


def test_a_token_for_one_use_works_once(workspace: Workspace):
    token = issue(workspace, uses=1)
    with workspace.db.write() as tx:
        tokens.use_up(tx, token)
    with pytest.raises(Unauthenticated):
        actor_of(workspace, token)
    with workspace.db.write() as tx, pytest.raises(Unauthenticated, match="used before"):
        tokens.use_up(tx, token)


def test_revoking_an_actor_ends_all_its_tokens(workspace: Workspace):
    first, second = issue(workspace), issue(workspace)
    with workspace.db.write() as tx:
        assert tokens.revoke_all(tx, ANNA) == 2
    for token in (first, second):
        with pytest.raises(Unauthenticated):
            actor_of(workspace, token)


def test_a_role_without_the_permission_is_refused_by_name():
    with pytest.raises(NotAllowed, match=r"anna \(annotator\) may not sign"):
        require(Actor(ANNA, "person", Role.ANNOTATOR), Permission.SIGN)


def test_a_device_may_do_nothing_but_be_a_device():
    device = Actor(ActorId("device_1"), "device", Role.DEVICE)
    allowed = []
    for permission in Permission:
        try:
            require(device, permission)
            allowed.append(permission)
        except NotAllowed:
            continue
    assert allowed == [Permission.ACT_AS_DEVICE]


def test_no_token_could_be_taken_for_an_option(workspace: Workspace):
    with workspace.db.write() as tx:
        made = [
            tokens.issue(tx, actor=ANNA, kind="person", role=Role.ANNOTATOR, now_ms=1)
            for _ in range(400)
        ]
    assert all(token[0].isalnum() for token in made)
