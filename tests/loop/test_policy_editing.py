"""The policy is checked before it is saved, no edit is lost, every change is on record."""

import pytest

from sightloop.kernel import events
from sightloop.kernel.actors import Actor, ActorId, Role
from sightloop.kernel.digests import digest_of
from sightloop.kernel.errors import NotAllowed
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop import policy_editing
from sightloop.loop.errors import BadPolicy, PolicyMoved
from sightloop.loop.policy_editing import (
    CheckPolicy,
    SavePolicy,
    ShowPolicy,
    check_policy,
    save_policy,
    show_policy,
)
from sightloop.loop.policy_file import read_policy
from sightloop.loop.previewing import PreviewPolicy, preview_policy
from sightloop.testing.workspaces import LOCAL_CALL

ONE = "models:\n  pcb: {}\n"
TWO = "models:\n  pcb:\n    keep: {audit_rate: 0.5}\n"


def shown(workspace: Workspace):
    return show_policy(workspace, LOCAL_CALL, ShowPolicy())


def save(workspace: Workspace, text: str, *, expected: str | None = None):
    began = shown(workspace).digest if expected is None else expected
    return save_policy(workspace, LOCAL_CALL, SavePolicy(text=text, expected=began))


def told(workspace: Workspace) -> list[events.Event]:
    with workspace.db.read() as tx:
        return events.history(tx, subject="loop.yaml")


def call_of(role: Role) -> Call:
    return Call(Actor(ActorId("eve"), "person", role))


def test_a_saved_policy_is_what_the_loop_reads(workspace: Workspace):
    save(workspace, ONE)
    assert list(read_policy(workspace).models) == ["pcb"]
    assert (workspace.root / "loop.yaml").read_text() == ONE


def test_a_change_is_on_record_with_who_and_what(workspace: Workspace):
    save(workspace, ONE)
    save(workspace, TWO)
    first, second = told(workspace)
    assert first.actor == "local"
    assert "+    keep: {audit_rate: 0.5}" in second.data["diff"]
    assert (second.data["before"], second.data["after"]) == (
        digest_of(ONE.encode()),
        digest_of(TWO.encode()),
    )
    assert workspace.blobs.read(second.data["before"]) == ONE.encode()


def test_saving_what_is_there_is_no_change(workspace: Workspace):
    save(workspace, ONE)
    save(workspace, ONE.replace("\n", "\r\n") + "\n\n")
    assert len(told(workspace)) == 1


def test_of_two_people_the_second_to_save_is_told(workspace: Workspace):
    began = shown(workspace).digest
    save(workspace, ONE, expected=began)
    with pytest.raises(PolicyMoved, match="nothing was saved") as caught:
        save(workspace, TWO, expected=began)
    assert caught.value.code == "LOOP-020"
    assert shown(workspace).text == ONE


def test_an_edit_on_disk_is_not_overwritten_and_is_told_of(workspace: Workspace):
    save(workspace, ONE)
    began = shown(workspace).digest
    (workspace.root / "loop.yaml").write_text(TWO)
    with pytest.raises(PolicyMoved):
        save(workspace, ONE + "# mine\n", expected=began)
    assert not shown(workspace).is_as_saved


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("models:\n  a: {}\n  pcb:\n    retrian: {}\n", "loop.yaml, line 4: .*retrian"),
        ("models:\n  a: {}\n  pcb:\n    keep:\n      audit_rate: 2\n", "loop.yaml, line 5"),
        ("models: {pcb: {}\n", "line 2, column 1"),
        ("models: [pcb]\n", "line 1: Expected `object`"),
        ("[" * 90_000, "nest(ed|ing)"),  # newer libraries refuse it themselves
        ("- " * 90_000 + "a", "nested more than"),
        ("x" * 300_000, "characters"),
        ("a: &a [*a]", "unfolds"),
        ("\n".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9) if i else 1}]" for i in range(9)),
         "unfolds"),
    ],
)  # fmt: skip
def test_a_text_the_loop_could_not_use_is_refused_with_its_place(workspace, text: str, place: str):
    save(workspace, ONE)
    with pytest.raises(BadPolicy, match=place) as caught:
        save(workspace, text)
    assert caught.value.code == "LOOP-001"
    assert shown(workspace).text == ONE
    assert len(told(workspace)) == 1


def test_a_crash_before_the_file_is_written_leaves_neither_file_nor_event(workspace, monkeypatch):
    save(workspace, ONE)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(policy_editing, "write_atomic", crash)
    with pytest.raises(KeyboardInterrupt):
        save(workspace, TWO)
    assert shown(workspace).text == ONE
    assert len(told(workspace)) == 1


def test_a_file_that_cannot_be_used_is_shown_with_its_problem(workspace: Workspace):
    (workspace.root / "loop.yaml").write_text("models: {pcb: {keeep: 1}}")
    assert "keeep" in shown(workspace).problem
    assert save(workspace, ONE).problem == ""


def test_a_file_that_is_no_text_is_shown_with_its_problem(workspace: Workspace):
    (workspace.root / "loop.yaml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in shown(workspace).problem


def test_a_long_change_keeps_its_diff_in_a_blob(workspace: Workspace):
    save(workspace, "".join(f"# line {number}\n" for number in range(2000)) + ONE)
    (event,) = told(workspace)
    assert len(event.data["diff"]) == policy_editing.MAX_DIFF_CHARS
    assert b"line 1999" in workspace.blobs.read(event.data["diff_blob"])


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR, Role.ENGINEER, Role.APPROVER])
def test_whoever_is_no_admin_may_read_and_not_save(workspace: Workspace, role: Role):
    assert show_policy(workspace, call_of(role), ShowPolicy()).text == ""
    with pytest.raises(NotAllowed, match="administer"):
        save_policy(workspace, call_of(role), SavePolicy(text=ONE, expected=""))


def test_an_engineer_may_check_and_preview_and_a_viewer_may_not(workspace: Workspace):
    checked = check_policy(workspace, call_of(Role.ENGINEER), CheckPolicy(text=ONE))
    assert checked.models == ["pcb"]
    assert "+  pcb: {}" in checked.diff
    assert preview_policy(workspace, call_of(Role.ENGINEER), PreviewPolicy(text=ONE)).models
    for service, request in (
        (check_policy, CheckPolicy(text=ONE)),
        (preview_policy, PreviewPolicy(text=ONE)),
    ):
        with pytest.raises(NotAllowed, match="run the loop"):
            service(workspace, call_of(Role.ANNOTATOR), request)


def test_a_preview_of_an_empty_record_counts_nothing(workspace: Workspace):
    save(workspace, ONE)
    (model,) = preview_policy(workspace, LOCAL_CALL, PreviewPolicy(text=TWO)).models
    assert model.present is not None
    assert model.proposed is not None
    assert (model.n_images, model.proposed.turns, model.proposed.audit_labels) == (0, [], 0)
    assert [change.rule for change in model.changes] == ["keep.audit_rate"]
