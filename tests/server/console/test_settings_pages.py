"""Settings: who may decide what, what is shown once, and what is never shown."""

import logging
import re
from html import unescape

import pytest

from sightloop.kernel import events, tokens
from sightloop.kernel.actors import ActorId, Role
from sightloop.kernel.workspace import Workspace
from sightloop.loop import sending
from sightloop.loop.notifying import AddDestination, add_destination
from sightloop.server.console.session import begin_session
from sightloop.server.console.settings_pages import TABS
from sightloop.server.keyring import ShowKeys, show_keys
from sightloop.testing.workspaces import LOCAL_CALL
from tests.server.console.conftest import WIDTHS, findings, wait_until_live

PATHS = ["/settings", *(tab.href for tab in TABS)]
ADMIN_PATHS = ["/settings/people", "/settings/notifications", "/settings/keys"]
FORMS = [
    "/settings/people",
    "/settings/people/role",
    "/settings/people/revoke",
    "/settings/policy",
    "/settings/notifications",
    "/settings/notifications/remove",
    "/settings/notifications/test",
]
POLICY = "models:\n  pcb: {}\n"
SECRET = "T0p-5ecret-T0ken"
HOSTILE = "<img src=x onerror=alert(1)>" + "x" * 10_000


def invite(visitor, name: str = "anna", role: str = "annotator", days: str = ""):
    return visitor.post("/settings/people", {"name": name, "role": role, "days": days})


def token_in(page: str) -> str:
    found = re.search(r'class="secret"><code>([\w-]+)</code>', page)
    assert found is not None
    return found[1]


def expected_in(page: str) -> str:
    found = re.search(r'name="expected" value="([^"]*)"', page)
    assert found is not None
    return found[1]


def text_in(page: str) -> str:
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.S)
    assert found is not None
    return unescape(found[1])


def all_data(workspace: Workspace) -> str:
    with workspace.db.read() as tx:
        return repr(events.history(tx))


# --- tabs --------------------------------------------------------------------------------------


def test_an_admin_sees_every_tab(visitor):
    for path in PATHS:
        page = visitor.get(path)
        assert page.status_code == 200, path
        assert "for admins" not in page.text.lower(), path


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR, Role.ENGINEER, Role.APPROVER])
def test_a_tab_that_is_not_yours_says_so_in_words(visitor_as, role: Role):
    visitor = visitor_as(role)
    for path in ADMIN_PATHS:
        page = visitor.get(path)
        assert page.status_code == 200, path
        assert "is for admins" in page.text
        assert role.value in page.text
        assert "<table" not in page.text
    assert visitor.get("/settings").text.count("For admins.") == 3


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR, Role.ENGINEER, Role.APPROVER])
def test_a_form_that_is_not_yours_changes_nothing(visitor_as, workspace, role: Role):
    fields = {"name": "owner", "role": "viewer", "address": "json://x", "text": POLICY}
    visitor = visitor_as(role)
    before = all_data(workspace)
    for path in FORMS:
        answer = visitor.post(path, fields)
        assert answer.status_code == 403, path
        assert "may not administer" in answer.text
    assert all_data(workspace) == before


# --- people --------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_never_again(visitor, workspace, caplog):
    with caplog.at_level(logging.DEBUG):
        made = invite(visitor)
    token = token_in(made.text)
    with workspace.db.read() as tx:
        now_ms = workspace.clock.now_ms()
        assert tokens.actor_of(tx, token, now_ms=now_ms).role is Role.ANNOTATOR
    again = [visitor.get(path).text for path in ["/", "/loop", *PATHS]]
    assert token not in "".join(again)
    assert token not in all_data(workspace)
    assert token not in caplog.text
    assert made.headers["cache-control"] == "no-store"


def test_sending_the_invitation_again_makes_no_second_token(visitor):
    invite(visitor)
    again = invite(visitor)
    assert again.status_code == 409
    assert "holds a token" in again.text
    assert 'class="secret"' not in again.text


def test_a_role_change_acts_on_a_page_that_is_open(visitor, visitor_as):
    annotator = visitor_as(Role.ANNOTATOR)
    assert "is for admins" in annotator.get("/settings/keys").text
    visitor.post("/settings/people/role", {"name": "annotator-person", "role": "admin"})
    assert "is for admins" not in annotator.get("/settings/keys").text


def test_whoever_is_revoked_is_asked_to_sign_in(visitor, visitor_as):
    annotator = visitor_as(Role.ANNOTATOR)
    assert annotator.get("/settings", follow_redirects=False).status_code == 200
    visitor.post("/settings/people/revoke", {"name": "annotator-person"})
    assert annotator.get("/settings", follow_redirects=False).status_code == 303


def test_the_last_admin_is_told_why_nothing_happened(visitor):
    for path, more in (("/revoke", {}), ("/role", {"role": "viewer"})):
        answer = visitor.post(f"/settings/people{path}", {"name": "owner", **more})
        assert answer.status_code == 409
        assert "last admin" in answer.text
    assert visitor.get("/settings/people").status_code == 200


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": HOSTILE, "role": "viewer"}, "must be 1 to 64 letters"),
        ({"name": "anna", "role": HOSTILE}, "is not one of viewer"),
        ({"name": "anna", "role": "device"}, "is not one of viewer"),
        ({"name": "anna", "role": "viewer", "days": "soon"}, "is no number"),
        ({"name": "anna", "role": "viewer", "days": "nan"}, "is not between"),
    ],
)
def test_an_invitation_that_cannot_be_is_refused_beside_the_form(visitor, fields, said: str):
    answer = visitor.post("/settings/people", fields)
    assert answer.status_code == 400
    assert said in answer.text
    assert "<img src=x" not in answer.text
    assert len(answer.text) < 60_000


def test_a_hostile_name_that_came_in_otherwise_is_shown_harmlessly(visitor, workspace):
    with workspace.db.write() as tx:
        actor = ActorId(HOSTILE)
        tokens.issue(tx, actor=actor, kind="person", role=Role.VIEWER, now_ms=1)
    page = visitor.get("/settings/people").text
    assert "<img src=x" not in page
    answer = visitor.post("/settings/people/revoke", {"name": HOSTILE})
    assert answer.status_code == 303


def test_many_people_come_page_by_page(visitor, workspace):
    with workspace.db.write() as tx:
        for number in range(120):
            actor = ActorId(f"p{number:03d}")
            tokens.issue(tx, actor=actor, kind="person", role=Role.VIEWER, now_ms=1)
    first = visitor.get("/settings/people").text
    assert "p119" not in first
    (after,) = re.findall(r'rel="next" href="\?after=(\w+)"', first)
    rest = visitor.get(f"/settings/people?after={after}").text
    assert "p119" in rest
    assert 'rel="next"' not in rest


# --- policy --------------------------------------------------------------------------------------


def save(visitor, text: str, expected: str | None = None, **more):
    if expected is None:
        expected = expected_in(visitor.get("/settings/policy").text)
    fields = {"text": text, "expected": expected, **more}
    return visitor.post("/settings/policy", fields)


def test_a_saved_policy_is_the_file_and_is_on_record(visitor, workspace):
    answer = save(visitor, POLICY, reason="the first line")
    assert answer.status_code == 303
    assert (workspace.root / "loop.yaml").read_text() == POLICY
    assert "the first line" in visitor.get("/settings/policy").text
    assert "The policy was changed: the first line" in visitor.get("/loop").text


def test_a_policy_that_cannot_be_used_keeps_the_text_and_names_the_line(visitor, workspace):
    answer = save(visitor, "models:\n  pcb:\n    retrian: {}\n")
    assert answer.status_code == 400
    assert "line 3" in answer.text
    assert "retrian: {}" in text_in(answer.text)
    assert not (workspace.root / "loop.yaml").exists()


def test_the_second_of_two_savers_sees_what_differs_and_decides(visitor, workspace):
    began = expected_in(visitor.get("/settings/policy").text)
    save(visitor, POLICY)
    mine = POLICY.replace("{}", "{branch: mine}")
    answer = save(visitor, mine, began)
    assert answer.status_code == 409
    assert '<span class="removed">-  pcb: {}</span>' in answer.text
    assert '<span class="added">+  pcb: {branch: mine}</span>' in answer.text
    assert (workspace.root / "loop.yaml").read_text() == POLICY
    assert save(visitor, text_in(answer.text), expected_in(answer.text)).status_code == 303
    assert (workspace.root / "loop.yaml").read_text() == mine


def test_an_edit_on_disk_is_a_conflict_as_well(visitor, workspace):
    began = expected_in(visitor.get("/settings/policy").text)
    (workspace.root / "loop.yaml").write_text(POLICY)
    assert save(visitor, "models: {}\n", began).status_code == 409


def test_an_open_editor_hears_that_the_file_moved(visitor):
    began = expected_in(visitor.get("/settings/policy").text)
    assert "meanwhile" not in visitor.get(f"/settings/policy/moved?digest={began}").text
    save(visitor, POLICY)
    assert "changed meanwhile by owner" in visitor.get("/settings/policy/moved?digest=").text


def test_a_preview_says_what_would_change_and_saves_nothing(visitor, workspace):
    save(visitor, POLICY)
    fields = {"text": "models:\n  pcb:\n    keep: {audit_rate: 0.5}\n", "expected": "x"}
    page = visitor.post("/settings/policy/preview", fields).text
    assert "What it would have done" in page
    assert "keep.audit_rate" in page
    assert "What this cannot know" in page
    assert (workspace.root / "loop.yaml").read_text() == POLICY
    assert expected_in(page) == "x"


def test_an_engineer_may_preview_and_is_told_why_not_save(visitor_as):
    engineer = visitor_as(Role.ENGINEER)
    assert "Saving is for admins" in engineer.get("/settings/policy").text
    page = engineer.post("/settings/policy/preview", {"text": POLICY, "expected": ""})
    assert page.status_code == 200
    assert ">Save<" not in page.text


def test_an_annotator_may_read_the_policy_and_not_touch_it(visitor_as):
    page = visitor_as(Role.ANNOTATOR).get("/settings/policy").text
    assert " readonly" in page
    assert "formaction" not in page


def test_a_hostile_policy_is_shown_harmlessly(visitor, workspace):
    text = f'models: {{"</textarea><script>alert(1)</script>": {{branch: "{HOSTILE}"}}}}\n'
    (workspace.root / "loop.yaml").write_text(text)
    page = visitor.get("/settings/policy").text
    assert "<script>alert" not in page
    assert text_in(page) == text
    preview = visitor.post("/settings/policy/preview", {"text": "models: {}", "expected": ""}).text
    assert "<script>alert" not in preview
    assert "<img src=x" not in preview


def test_a_broken_file_can_be_mended_here(visitor, workspace):
    (workspace.root / "loop.yaml").write_text("models: {pcb: {keeep: 1}}")
    assert "The loop stands still" in visitor.get("/settings/policy").text
    assert "cannot be used" in visitor.get("/settings").text
    assert save(visitor, POLICY).status_code == 303


# --- notifications --------------------------------------------------------------------------------


@pytest.fixture
def sender(monkeypatch) -> list[str]:
    """Addresses a test message went to; sending fails for those with `down` in them."""
    sent: list[str] = []
    monkeypatch.setattr(sending, "is_address", lambda address: "://" in address)

    def send(address: str, _message: object) -> str:
        sent.append(address)
        return "nobody answers at that address" if "down" in address else ""

    monkeypatch.setattr(sending, "send", send)
    return sent


def add(workspace: Workspace, name: str = "ops", address: str = f"json://10.0.0.7/{SECRET}"):
    return add_destination(workspace, LOCAL_CALL, AddDestination(name=name, address=address))


def test_an_address_is_never_on_a_page(visitor, workspace, sender):
    fields = {"name": "ops", "address": f"json://10.0.0.7/{SECRET}", "wants": "step failed"}
    assert visitor.post("/settings/notifications", fields).status_code == 303
    pages = [visitor.get(path).text for path in ["/", "/loop", *PATHS]]
    pages.append(visitor.post("/settings/notifications", fields).text)
    assert "one of that name" in pages[-1]
    assert SECRET not in "".join(pages) + all_data(workspace)
    assert "json://10.0.0.7/…" in visitor.get("/settings/notifications").text


def test_a_test_message_says_what_became_of_it(visitor, workspace, sender):
    add(workspace)
    add(workspace, "broken", f"json://down/{SECRET}")
    assert "ops took the test message" in visitor.post(
        "/settings/notifications/test", {"name": "ops"}
    ).text  # fmt: skip
    failed = visitor.post("/settings/notifications/test", {"name": "broken"})
    assert failed.status_code == 502
    assert "nobody answers at that address" in failed.text
    assert SECRET not in failed.text
    assert len(sender) == 2


def test_a_removed_destination_is_gone(visitor, workspace, sender):
    add(workspace)
    assert visitor.post("/settings/notifications/remove", {"name": "ops"}).status_code == 303
    assert "Nobody is told of anything yet" in visitor.get("/settings/notifications").text
    assert visitor.post("/settings/notifications/remove", {"name": HOSTILE}).status_code == 404


# --- keys and workspace ---------------------------------------------------------------------------


def test_no_page_holds_private_material(visitor, workspace):
    secrets = [
        line
        for path in (workspace.state / "keys").glob("*.pem")
        for line in path.read_text().splitlines()
        if not line.startswith("-----")
    ]
    assert len(secrets) >= 5
    pages = "".join(visitor.get(path).text for path in PATHS)
    assert not [line for line in secrets if line in pages]
    assert "root key lies on this host" in pages


def test_a_key_others_may_read_and_one_that_is_damaged_are_named(visitor, workspace):
    folder = workspace.state / "keys"
    folder.chmod(0o755)
    (folder / "root.pem").chmod(0o644)
    (folder / "snapshot.pem").write_text("no key")
    page = visitor.get("/settings/keys").text
    assert page.count("readable by others") == 1
    assert "snapshot.pem" in page


def test_a_key_that_was_moved_away_is_elsewhere(workspace):
    (workspace.state / "keys" / "root.pem").rename(workspace.root / "root.pem")
    ring = show_keys(workspace, LOCAL_CALL, ShowKeys())
    root = next(one for one in ring.keys if one.name == "root")
    assert (root.is_here, ring.root_is_here, root.problem) == (False, False, "")


def test_anybody_may_verify_the_audit_log_and_is_told_when_it_is_broken(visitor_as, workspace):
    from sqlalchemy import text

    from sightloop.loop.ticks import seal_audit_log

    viewer = visitor_as(Role.VIEWER)
    with workspace.db.write() as tx:
        from sightloop.kernel.actors import LOCAL

        events.tell(tx, events.EventKind("branch.created"), "m", by=LOCAL, at_ms=1)
    seal_audit_log(workspace)
    assert "Every seal holds" in viewer.post("/settings/workspace/verify").text
    with workspace.db.write() as tx:
        tx.execute(text("UPDATE events SET actor = 'eve'"))
    broken = viewer.post("/settings/workspace/verify")
    assert "broken at seal 1" in broken.text


# --- in a browser ---------------------------------------------------------------------------------


@pytest.mark.processes
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.usefixtures("sender")
def test_nobody_is_kept_out_by_how_the_settings_look(tab, workspace, width: int, scheme: str):
    (workspace.root / "loop.yaml").write_text(POLICY)
    add(workspace)
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 900})
    for path in PATHS:
        tab.goto(path)
        assert findings(tab) == [], path
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    tab.goto("/settings/policy")
    tab.fill("#text", POLICY.replace("{}", "{keep: {audit_rate: 0.5}}"))
    tab.get_by_role("button", name="Check and preview").click()
    tab.get_by_role("heading", name="What it would have done").wait_for()
    assert findings(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.processes
def test_an_invited_annotator_comes_in_and_may_not_change_the_policy(tab, chromium, served):
    tab.goto("/settings/people")
    tab.get_by_label("Name", exact=True).fill("anna")
    tab.get_by_role("button", name="Make a token").click()
    token = tab.locator(".secret code").inner_text()

    context = chromium.new_context(base_url=served)
    other = context.new_page()
    other.goto("/settings/policy")
    other.get_by_label("Token").fill(token)
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_url("**/settings/policy")
    assert other.get_by_text("Saving is for admins").is_visible()
    assert other.get_by_role("button", name="Save").count() == 0
    assert not other.locator("#text").is_editable()
    other.goto("/settings/people")
    assert other.get_by_text("People and tokens is for admins").is_visible()
    context.close()

    tab.goto("/settings/people")
    assert token not in tab.content()


@pytest.mark.processes
def test_revoking_asks_first(tab, workspace):
    with workspace.db.write() as tx:
        tokens.issue(tx, actor=ActorId("anna"), kind="person", role=Role.VIEWER, now_ms=1)
    tab.goto("/settings/people")
    tab.once("dialog", lambda dialog: dialog.dismiss())
    tab.get_by_role("button", name="Revoke every token of anna").click()
    assert tab.get_by_text("kept out").count() == 0
    tab.once("dialog", lambda dialog: dialog.accept())
    tab.get_by_role("button", name="Revoke every token of anna").click()
    tab.get_by_text("kept out").wait_for()


@pytest.mark.processes
def test_an_open_editor_is_told_within_a_second_that_somebody_saved(tab, workspace, visitor):
    tab.goto("/settings/policy")
    wait_until_live(tab)
    save(visitor, POLICY)
    tab.get_by_text("loop.yaml was changed meanwhile").wait_for(timeout=1500)


def test_the_workspaces_own_token_is_replaced_once_it_was_revoked(workspace):
    from sightloop.wiring import ensure_token

    first = ensure_token(workspace)
    with workspace.db.write() as tx:
        tokens.revoke_all(tx, ActorId("owner"))
    second = ensure_token(workspace)
    assert second != first
    assert begin_session(workspace, second)
