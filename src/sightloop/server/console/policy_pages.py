"""The policy: `loop.yaml` edited as text, checked and previewed before it is saved."""

from __future__ import annotations

from typing import Any, NamedTuple

from litestar import Request, Response, get, post
from litestar.response import Redirect

from sightloop.kernel.actors import Permission, may
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Workspace
from sightloop.loop.errors import PolicyMoved
from sightloop.loop.policy_editing import (
    CheckPolicy,
    PolicyText,
    SavePolicy,
    ShowPolicy,
    check_policy,
    policy_diff,
    save_policy,
    show_policy,
)
from sightloop.loop.preview import Replay
from sightloop.loop.previewing import ModelPreview, PolicyPreview, PreviewPolicy, preview_policy
from sightloop.server.console.formats import number
from sightloop.server.console.rendering import page
from sightloop.server.console.session import Form, Viewer, viewer_of
from sightloop.server.console.settings_pages import change, is_to_be_shown, settings_page
from sightloop.server.context import workspace_of

N_SHOWN_TURNS = 12


class Row(NamedTuple):
    """One line of the preview: a count under the present policy and under the proposed one."""

    label: str
    present: str
    proposed: str

    @property
    def differs(self) -> bool:
        """Whether the proposal changes it."""
        return self.present != self.proposed


@get("/settings/policy", sync_to_thread=True)
def policy(request: Request[Any, Any, Any]) -> Response[str]:
    """The text, ready to be edited by whoever may."""
    return _policy_page(request, viewer_of(request))


@get("/settings/policy/moved", sync_to_thread=True)
def moved(request: Request[Any, Any, Any]) -> Response[str]:
    """A note for an open editor: whether the file is still the one the edit began from."""
    viewer = viewer_of(request)
    present = show_policy(workspace_of(request), viewer.call, ShowPolicy())
    is_other = present.digest != request.query_params.get("digest", "")
    return page(request, "_policy-moved.html", viewer, is_other=is_other, present=present)


@post("/settings/policy/preview", status_code=200)
async def preview(request: Request[Any, Any, Any]) -> Response[Any]:
    """The edited text checked, what it would change, and what it would have done."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        text = _text(form)
        try:
            checked = check_policy(workspace, viewer.call, CheckPolicy(text=text))
            found = preview_policy(workspace, viewer.call, PreviewPolicy(text=text))
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _policy_page(request, viewer, form=form, problem=error)
        return _policy_page(request, viewer, form=form, diff=checked.diff, preview=found)

    return await change(request, work)


@post("/settings/policy", status_code=303)
async def save(request: Request[Any, Any, Any]) -> Response[Any]:
    """The text is the policy, unless it cannot be used or somebody else was quicker."""

    def work(workspace: Workspace, viewer: Viewer, form: Form) -> Response[Any]:
        wanted = SavePolicy(
            text=_text(form), expected=form.text("expected"), reason=form.text("reason")
        )
        try:
            save_policy(workspace, viewer.call, wanted)
        except SightloopError as error:
            if not is_to_be_shown(error):
                raise
            return _policy_page(request, viewer, form=form, problem=error)
        return Redirect("/settings/policy", status_code=303)

    return await change(request, work)


def _policy_page(
    request: Request[Any, Any, Any],
    viewer: Viewer,
    *,
    form: Form | None = None,
    problem: SightloopError | None = None,
    diff: str = "",
    preview: PolicyPreview | None = None,
) -> Response[str]:
    present = show_policy(workspace_of(request), viewer.call, ShowPolicy())
    text = present.text if form is None else _text(form)
    is_moved = isinstance(problem, PolicyMoved)
    # After a conflict has been shown, saving again is a decision and not an accident.
    keeps = form is not None and not is_moved
    return settings_page(
        request,
        "settings-policy.html",
        viewer,
        "policy",
        status=problem.http_status if problem else 200,
        present=present,
        text=text,
        expected=form.text("expected") if form is not None and keeps else present.digest,
        reason="" if form is None else form.text("reason"),
        problem=problem.message if problem else "",
        is_moved=is_moved,
        diff=_lines(policy_diff(present.text, text) if is_moved else diff),
        is_checked=preview is not None,
        preview=preview,
        tables=[(one, _rows(one), _turns(one)) for one in preview.models] if preview else [],
        changed=_lines(_changed(present)),
        may_check=may(viewer.actor, Permission.RUN_LOOP),
        may_save=may(viewer.actor, Permission.ADMINISTER),
    )


def _text(form: Form) -> str:
    """The edited text, blanks and all: in YAML they mean something."""
    return (form.all("text") or [""])[-1]


def _changed(present: PolicyText) -> str:
    return "" if present.changed is None else str(present.changed.data["diff"])


def _lines(diff: str) -> list[tuple[str, str]]:
    """Lines of a diff and how each is to look."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    shown = [line for line in diff.splitlines() if not line.startswith(("--- ", "+++ "))]
    return [(kinds.get(line[:1], ""), line) for line in shown]


def _rows(one: ModelPreview) -> list[Row]:
    def row(label: str, value: Any) -> Row:  # noqa: ANN401 - a lambda over a replay
        cells = ["–" if found is None else value(found) for found in (one.present, one.proposed)]
        return Row(label, *cells)

    return [
        row("Loss incidents that would have begun a turn", lambda r: _of(r, "loss incident")),
        row("Turns that enough labels would have begun", lambda r: _of(r, "labels")),
        row("Images flagged after input incidents, at most", lambda r: number(r.n_flagged_at_most)),
        row("Images people are asked to label, at most", lambda r: number(r.n_asked_at_most)),
        row("Images kept by the audit, to be labelled", lambda r: number(round(r.audit_labels))),
        row(
            "The same per day with traffic",
            lambda r: (
                "–" if r.audit_labels_per_day is None else number(round(r.audit_labels_per_day, 1))
            ),
        ),
    ]


def _of(replay: Replay, because: str) -> str:
    count = sum(turn.because == because for turn in replay.turns)
    return f"{count} of {replay.n_loss_incidents}" if because == "loss incident" else str(count)


def _turns(one: ModelPreview) -> list[tuple[int, str, str]]:
    turns = [] if one.proposed is None else one.proposed.turns
    return [(turn.at_ms, turn.because, turn.subject) for turn in turns[:N_SHOWN_TURNS]]
