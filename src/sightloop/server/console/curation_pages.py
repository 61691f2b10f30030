"""Curation in the browser: look-alikes, leaks and suspicious labels of one commit."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from sightloop.datasets.branches import list_branches
from sightloop.datasets.browsing import FindCommit, FoundCommit, find_commit
from sightloop.datasets.curation.duplicates import KINDS, FindDuplicates, find_duplicates
from sightloop.datasets.curation.leaks import FindLeaks, find_leaks
from sightloop.datasets.curation.marking import (
    MarkSamples,
    QuarantineLeaks,
    TagSamples,
    lift_quarantine,
    quarantine_leaks,
    quarantine_samples,
    tag_samples,
)
from sightloop.datasets.curation.suspects import FindSuspects, Suspect, find_suspects
from sightloop.datasets.curation.suspicions import RULES
from sightloop.datasets.values import SampleId
from sightloop.kernel.actors import Permission, may
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.dataset_addresses import ref_address, ref_of
from sightloop.server.console.dataset_drawings import Stroke, class_styles, strokes
from sightloop.server.console.paging import whole
from sightloop.server.console.pictures import picture_address
from sightloop.server.console.rendering import page, query
from sightloop.server.console.session import Viewer, form_of, viewer_of
from sightloop.server.context import workspace_of

PATIENCE_S = 0.07
"""How long a page waits for an answer before it says how far that is."""

TABS = (("duplicates", "Duplicates"), ("leaks", "Leaks"), ("suspects", "Suspects"))
N_CLUSTERS, N_LEAKS, N_SUSPECTS = 12, 24, 24
N_PICTURES = 12
"""Pictures of a cluster that are shown."""

THUMB_PX = 480
RULE_WORDS = {
    "two classes": "two classes on one place",
    "double": "drawn twice",
    "size": "unusual size",
    "shape": "unusual shape",
    "sliver": "sliver at the border",
    "unlike its copy": "unlike its look-alike",
    "model differs": "a model says another class",
    "model sees more": "a model sees more",
}


class DrawnSuspect(NamedTuple):
    """A suspect, its box on its picture, and its look-alike's if that is what it contradicts."""

    suspect: Suspect
    strokes: list[Stroke]
    other_strokes: list[Stroke]


@get("/datasets/{ref:str}/curation", sync_to_thread=True)
def curation(ref: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """One of the three lists; what takes long says how far it is and completes itself."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    name = ref_of(ref)
    found = find_commit(workspace, viewer.call, FindCommit(ref=name))
    wanted = request.query_params.get("tab", "")
    tab = wanted if wanted in dict(TABS) else TABS[0][0]
    listing = {"duplicates": _duplicates, "leaks": _leaks, "suspects": _suspects}[tab]
    values = listing(request, workspace, viewer, found)
    return page(
        request,
        "curation.html",
        viewer,
        name=name,
        base=ref_address(name, commit=found.commit),
        commit=found.commit,
        tab=tab,
        tabs=TABS,
        may_decide=_may_decide(workspace, viewer, name),
        thumb=lambda member: picture_address(member.image, side_px=THUMB_PX),
        after=_after(request),
        words=_command_words(request, name, tab),
        **values,
    )


@post("/datasets/{ref:str}/curation", status_code=303)
async def decide(ref: FromPath[str], request: Request[Any, Any, Any]) -> Redirect:
    """Quarantine, accept or tag samples of the branch, and back to the list."""
    viewer, form = await form_of(request)
    workspace, branch = workspace_of(request), ref_of(ref)
    samples = [SampleId(one) for one in form.text("samples").split()]
    match form.text("decision"):
        case "quarantine all":
            asked = QuarantineLeaks(branch=branch)
            await asyncio.to_thread(quarantine_leaks, workspace, viewer.call, asked)
        case "quarantine":
            marked = MarkSamples(branch=branch, samples=samples)
            await asyncio.to_thread(quarantine_samples, workspace, viewer.call, marked)
        case "accept":
            marked = MarkSamples(branch=branch, samples=samples)
            await asyncio.to_thread(lift_quarantine, workspace, viewer.call, marked)
        case "tag":
            tagged = TagSamples(branch=branch, samples=samples)
            await asyncio.to_thread(tag_samples, workspace, viewer.call, tagged)
    kept = {key: value for key, value in request.query_params.items() if key in _KEPT}
    return Redirect(f"/datasets/{ref}/curation{query(kept)}", status_code=303)


_KEPT = ("tab", "kind", "rule", "copies", "after")


def _duplicates(
    request: Request[Any, Any, Any], workspace: Workspace, viewer: Viewer, found: FoundCommit
) -> dict[str, Any]:
    kind = request.query_params.get("kind", "")
    kind = kind if kind in KINDS else ""
    asked = FindDuplicates(
        ref=found.commit,
        kind=kind,
        after=_after(request),
        limit=N_CLUSTERS,
        patience_s=PATIENCE_S,
    )
    listed = find_duplicates(workspace, viewer.call, asked)
    return {"listed": listed, "pending": listed.pending, "kind": kind, "n_pictures": N_PICTURES}


def _leaks(
    request: Request[Any, Any, Any], workspace: Workspace, viewer: Viewer, found: FoundCommit
) -> dict[str, Any]:
    asked = FindLeaks(ref=found.commit, after=_after(request), limit=N_LEAKS, patience_s=PATIENCE_S)
    listed = find_leaks(workspace, viewer.call, asked)
    return {"listed": listed, "pending": listed.pending}


def _suspects(
    request: Request[Any, Any, Any], workspace: Workspace, viewer: Viewer, found: FoundCommit
) -> dict[str, Any]:
    rule = request.query_params.get("rule", "")
    rule = rule if rule in RULES else ""
    copies = request.query_params.get("copies") == "1"
    asked = FindSuspects(
        ref=found.commit,
        rule=rule,
        copies=copies,
        after=_after(request),
        limit=N_SUSPECTS,
        patience_s=PATIENCE_S,
    )
    listed = find_suspects(workspace, viewer.call, asked)
    styles = class_styles(listed.taxonomy)
    drawn = [
        DrawnSuspect(one, strokes(one.annotations, styles), strokes(one.other_annotations, styles))
        for one in listed.suspects
    ]
    return {
        "listed": listed,
        "pending": listed.pending,
        "drawn": drawn,
        "rule": rule,
        "rule_words": RULE_WORDS,
        "copies": copies,
    }


def _may_decide(workspace: Workspace, viewer: Viewer, name: str) -> bool:
    """Whether to offer decisions: they are commits, and a commit goes to a branch."""
    if not may(viewer.actor, Permission.WRITE_DATA):
        return False
    return any(ref.name == name for ref in list_branches(workspace, viewer.call))


def _after(request: Request[Any, Any, Any]) -> int:
    return whole(request.query_params.get("after", "")) or 0


def _command_words(request: Request[Any, Any, Any], name: str, tab: str) -> str:
    words = f"data {tab} {name}"
    if tab == "suspects" and request.query_params.get("copies") == "1":
        words += " --copies"
    return words
