"""Who may come in, who decides, and what is never said again."""

from contextlib import suppress

import pytest

from sightloop.kernel import events, tokens
from sightloop.kernel.access import (
    BadInvitation,
    ChangeRole,
    InvitePerson,
    KnownPerson,
    LastAdmin,
    ListPeople,
    RevokeAccess,
    change_role,
    invite_person,
    list_people,
    revoke_access,
)
from sightloop.kernel.actors import LOCAL, Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, NotFound, Unauthenticated
from sightloop.kernel.workspace import Call, Workspace
from sightloop.testing.workspaces import LOCAL_CALL


def invite(workspace: Workspace, name: str = "anna", role: Role = Role.ANNOTATOR, **more):
    return invite_person(workspace, LOCAL_CALL, InvitePerson(name=name, role=role, **more))


def actor_of(workspace: Workspace, token: str) -> Actor:
    with workspace.db.read() as tx:
        return tokens.actor_of(tx, token, now_ms=workspace.clock.now_ms())


def person(workspace: Workspace, name: str = "anna"):
    found = list_people(workspace, LOCAL_CALL, ListPeople()).people
    return next(one for one in found if one.id == name)


def told(workspace: Workspace) -> list[tuple[str, dict]]:
    with workspace.db.read() as tx:
        return [(event.kind, event.data) for event in events.history(tx)]


def test_the_token_of_an_invitation_names_the_person(workspace: Workspace):
    token = invite(workspace).token
    assert actor_of(workspace, token) == Actor(ActorId("anna"), "person", Role.ANNOTATOR)


def test_no_event_and_no_file_holds_the_token(workspace: Workspace):
    token = invite(workspace).token
    assert told(workspace) == [
        ("access.granted", {"role": "annotator", "expires_at_ms": None}),
    ]
    workspace.db.close()
    stored = b"".join(path.read_bytes() for path in workspace.state.glob("sightloop.db*"))
    assert token.encode() not in stored


def test_a_new_role_acts_on_tokens_and_sessions_that_are_out(workspace: Workspace):
    token = invite(workspace).token
    with workspace.db.write() as tx:
        now_ms = workspace.clock.now_ms()
        actor = tokens.actor_of(tx, token, now_ms=now_ms)
        session = tokens.begin_session(tx, actor, now_ms=now_ms, lifetime_ms=1000)
    change_role(workspace, LOCAL_CALL, ChangeRole(name="anna", role=Role.ENGINEER))
    assert {actor_of(workspace, one).role for one in (token, session)} == {Role.ENGINEER}
    assert told(workspace)[-1] == ("access.changed", {"role": "engineer", "before": "annotator"})


def test_giving_the_same_role_again_is_no_event(workspace: Workspace):
    invite(workspace)
    change_role(workspace, LOCAL_CALL, ChangeRole(name="anna", role=Role.ANNOTATOR))
    assert len(told(workspace)) == 1


def test_revoking_ends_every_token_and_session(workspace: Workspace):
    token = invite(workspace).token
    gone = revoke_access(workspace, LOCAL_CALL, RevokeAccess(name="anna"))
    assert (gone.n_tokens, gone.n_sessions) == (0, 0)
    with pytest.raises(Unauthenticated):
        actor_of(workspace, token)


def test_whoever_was_revoked_can_come_back_with_another_role(workspace: Workspace):
    invite(workspace)
    revoke_access(workspace, LOCAL_CALL, RevokeAccess(name="anna"))
    token = invite(workspace, role=Role.VIEWER).token
    assert actor_of(workspace, token).role is Role.VIEWER


def test_a_name_that_holds_a_token_cannot_be_taken(workspace: Workspace):
    invite(workspace)
    with pytest.raises(KnownPerson, match="sightloop access revoke anna") as caught:
        invite(workspace, role=Role.ADMIN)
    assert caught.value.code == "SL-430"


def test_a_devices_name_cannot_be_taken(workspace: Workspace):
    with workspace.db.write() as tx:
        tokens.issue(tx, actor=ActorId("dev_1"), kind="device", role=Role.DEVICE, now_ms=1)
    with pytest.raises(KnownPerson):
        invite(workspace, name="dev_1")
    with pytest.raises(NotFound):
        change_role(workspace, LOCAL_CALL, ChangeRole(name="dev_1", role=Role.ADMIN))


@pytest.mark.parametrize(
    "name", ["", "a b", "<b>x</b>", "x" * 65, "step:train", "local", "ａｎｎａ", "a\n", "../x"]
)
def test_a_name_that_could_mislead_is_refused(workspace: Workspace, name: str):
    with pytest.raises(BadInvitation, match="nobody was invited") as caught:
        invite(workspace, name=name)
    assert caught.value.code == "SL-140"
    assert list_people(workspace, LOCAL_CALL, ListPeople()).people == []


@pytest.mark.parametrize("role", [Role.DEVICE, Role.ENROLMENT])
def test_a_machines_role_is_not_given_to_people(workspace: Workspace, role: Role):
    with pytest.raises(BadInvitation, match="is not one of viewer"):
        invite(workspace, role=role)


@pytest.mark.parametrize("days", [0, -1, 1e9, float("nan")])
def test_a_lifetime_that_cannot_be_is_refused(workspace: Workspace, days: float):
    with pytest.raises(BadInvitation, match="lifetime"):
        invite(workspace, lifetime_days=days)


def test_a_token_with_a_lifetime_ends(workspace: Workspace, clock):
    made = invite(workspace, lifetime_days=2)
    assert made.person.expires_at_ms == clock.now_ms() + 2 * 86_400_000
    clock.advance(2 * 86_400)
    with pytest.raises(Unauthenticated):
        actor_of(workspace, made.token)
    assert person(workspace).n_tokens == 0


def test_the_last_admin_stays(workspace: Workspace):
    invite(workspace, "root1", Role.ADMIN)
    invite(workspace, "anna", Role.APPROVER)
    for act, request in (
        (revoke_access, RevokeAccess(name="root1")),
        (change_role, ChangeRole(name="root1", role=Role.VIEWER)),
    ):
        with pytest.raises(LastAdmin, match="make somebody else admin first") as caught:
            act(workspace, LOCAL_CALL, request)
        assert caught.value.code == "SL-431"
    assert person(workspace, "root1").n_tokens == 1


def test_an_admin_who_cannot_sign_in_any_more_does_not_count(workspace: Workspace, clock):
    invite(workspace, "root1", Role.ADMIN)
    invite(workspace, "root2", Role.ADMIN, lifetime_days=1)
    clock.advance(86_400)
    with pytest.raises(LastAdmin):
        revoke_access(workspace, LOCAL_CALL, RevokeAccess(name="root1"))


def test_a_session_is_counted_apart_and_remembered(workspace: Workspace, clock):
    token = invite(workspace).token
    with workspace.db.write() as tx:
        actor = tokens.actor_of(tx, token, now_ms=clock.now_ms())
        session = tokens.begin_session(tx, actor, now_ms=clock.now_ms(), lifetime_ms=1000)
    began_ms = clock.now_ms()
    assert (person(workspace).n_tokens, person(workspace).n_sessions) == (1, 1)
    clock.advance(60)
    with workspace.db.write() as tx:
        tokens.revoke(tx, session)
    after = person(workspace)
    assert (after.n_sessions, after.signed_in_at_ms) == (0, began_ms)


def test_people_come_page_by_page(workspace: Workspace):
    for number in range(7):
        invite(workspace, f"p{number}")
    first = list_people(workspace, LOCAL_CALL, ListPeople(limit=4))
    rest = list_people(workspace, LOCAL_CALL, ListPeople(limit=4, after=first.next_after or ""))
    assert [one.id for one in first.people + rest.people] == [f"p{n}" for n in range(7)]
    assert rest.next_after is None


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_an_admin_decides_who_comes_in(workspace: Workspace, role: Role):
    invite(workspace)
    call = Call(Actor(ActorId("eve"), "person", role))
    requests = {
        list_people: ListPeople(),
        invite_person: InvitePerson(name="mallory", role=Role.ADMIN),
        change_role: ChangeRole(name="anna", role=Role.ADMIN),
        revoke_access: RevokeAccess(name="anna"),
    }
    for service, request in requests.items():
        with suppress(NotAllowed):
            service(workspace, call, request)
            pytest.fail(f"{role} may call {service.__name__}")
    assert person(workspace).role is Role.ANNOTATOR


def test_the_command_line_counts_as_admin_but_is_nobody_on_the_list(workspace: Workspace):
    assert LOCAL.role is Role.ADMIN
    assert list_people(workspace, LOCAL_CALL, ListPeople()).people == []
