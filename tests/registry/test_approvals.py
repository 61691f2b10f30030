"""A person decides once, after the gate, and what was rejected stays in."""

import pytest

from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.events import history
from sightloop.kernel.workspace import Call
from sightloop.registry import store
from sightloop.registry.aliases import SetAlias, set_alias
from sightloop.registry.approvals import DecideVersion, approve_version, reject_version
from sightloop.registry.catalogue import ShowVersion, show_card
from sightloop.registry.errors import (
    BadComment,
    DecidedAlready,
    NotReleasable,
    SignedAlready,
    VersionRejected,
)
from sightloop.registry.signing import SignVersion, sign_version
from sightloop.testing.workspaces import LOCAL_CALL

ANNA = Call(Actor(ActorId("anna"), "person", Role.APPROVER))


def decide(service, workspace, *, comment="looked at line B", number=1, call=ANNA):
    return service(workspace, call, DecideVersion(model="pcb", number=number, comment=comment))


@pytest.fixture
def passed(made_up, judged):
    version = made_up()
    judged(version, "pass")
    return version


def told(workspace):
    with workspace.db.read() as tx:
        return [(one.kind, one.actor, one.data["comment"]) for one in history(tx)]


def test_a_decision_is_kept_with_who_why_and_on_which_verdict(workspace, passed):
    made = decide(approve_version, workspace)
    with workspace.db.read() as tx:
        verdict = store.latest_verdict(tx, "pcb", 1)
        assert store.find_approval(tx, "pcb", 1) == made
    assert (made.decision, made.by, made.comment) == ("approve", "anna", "looked at line B")
    assert made.verdict == verdict.id
    assert told(workspace) == [("model.approved", "anna", "looked at line B")]


@pytest.mark.parametrize("service", [approve_version, reject_version])
def test_the_same_decision_again_changes_nothing(workspace, passed, service):
    first = decide(service, workspace)
    assert decide(service, workspace, comment="again") == first
    assert len(told(workspace)) == 1


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        (approve_version, reject_version, "cannot be rejected: anna approved it"),
        (reject_version, approve_version, "cannot be approved: anna rejected it"),
    ],
)
def test_a_decision_cannot_be_turned_round(workspace, passed, first, then, words):
    decide(first, workspace)
    with pytest.raises(DecidedAlready, match=words) as caught:
        decide(then, workspace)
    assert caught.value.code == "REG-023"


@pytest.mark.parametrize("service", [approve_version, reject_version])
def test_what_the_gate_did_not_pass_is_not_for_a_person_to_decide(
    workspace, made_up, judged, service
):
    judged(made_up(), "inconclusive")
    with pytest.raises(NotReleasable, match=r"its latest verdict is inconclusive: overall"):
        decide(service, workspace)
    assert told(workspace) == []


def test_what_nobody_gated_cannot_be_approved(workspace, made_up):
    made_up()
    with pytest.raises(NotReleasable, match="nobody has gated it"):
        decide(approve_version, workspace)


@pytest.mark.parametrize("comment", ["", "  ", "x" * 2001])
def test_a_decision_needs_a_reason_that_can_be_read(workspace, passed, comment):
    with pytest.raises(BadComment, match="say in 1 to 2,000 characters why") as caught:
        decide(approve_version, workspace, comment=comment)
    assert caught.value.code == "REG-025"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR, Role.ENGINEER])
@pytest.mark.parametrize("service", [approve_version, reject_version])
def test_only_who_may_release_may_decide(workspace, passed, role, service):
    with pytest.raises(NotAllowed, match="release"):
        decide(service, workspace, call=Call(Actor(ActorId("eve"), "person", role)))


def test_there_must_be_such_a_version(workspace, passed):
    with pytest.raises(NotFound, match="pcb@7"):
        decide(approve_version, workspace, number=7)


def test_a_rejected_version_is_neither_signed_nor_made_champion(workspace, passed):
    decide(reject_version, workspace, comment="misses dents")
    with pytest.raises(VersionRejected, match=r"cannot be signed: anna rejected it \(misses dents"):
        sign_version(workspace, LOCAL_CALL, SignVersion(model="pcb", number=1))
    with pytest.raises(VersionRejected, match="cannot become champion") as caught:
        set_alias(workspace, LOCAL_CALL, SetAlias(model="pcb", alias="champion", number=1))
    assert caught.value.code == "REG-022"


def test_what_is_signed_is_not_rejected_any_more(workspace, passed):
    sign_version(workspace, LOCAL_CALL, SignVersion(model="pcb", number=1))
    with pytest.raises(SignedAlready, match="sightloop rollout abort") as caught:
        decide(reject_version, workspace)
    assert caught.value.code == "REG-024"


def test_the_card_tells_who_decided_and_why(workspace, version, judged):
    judged(version(), "pass")
    assert (
        "## Approval" not in show_card(workspace, LOCAL_CALL, ShowVersion(version="pcb@1")).markdown
    )
    decide(approve_version, workspace)
    card = show_card(workspace, LOCAL_CALL, ShowVersion(version="pcb@1")).markdown
    assert "Approved by anna" in card
    assert "looked at line B" in card
