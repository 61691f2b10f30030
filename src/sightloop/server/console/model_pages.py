"""Models: what there is, what each version proved, and a person's yes or no."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from sightloop.contracts.bundle import Detection
from sightloop.contracts.job import LabelledBox
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.workspace import Workspace
from sightloop.loop.evidence import ShowEvidence, show_evidence
from sightloop.loop.lineage import CountServing, Lineage, ShowLineage, count_serving, show_lineage
from sightloop.loop.turns import TurnState
from sightloop.registry.approvals import (
    MAX_COMMENT_CHARACTERS,
    DecideVersion,
    approve_version,
    reject_version,
)
from sightloop.registry.catalogue import (
    ListModels,
    ListVersions,
    ShowVersion,
    list_models,
    list_versions,
    show_card,
    show_version,
)
from sightloop.registry.comparison import (
    CompareVersions,
    Comparison,
    Disagreement,
    StratumChange,
    compare_versions,
)
from sightloop.registry.foreign_catalogue import (
    WHY_NOT_RELEASED,
    ShowRegistered,
    show_registered,
)
from sightloop.registry.naming_models import show_model
from sightloop.registry.values import ModelVersion
from sightloop.server.charts import Pair, pair_chart
from sightloop.server.console.formats import clipped, short
from sightloop.server.console.paging import whole
from sightloop.server.console.pictures import picture_address
from sightloop.server.console.rendering import page
from sightloop.server.console.session import Viewer, form_of, viewer_of
from sightloop.server.context import workspace_of
from sightloop.server.errors import BadDecision
from sightloop.tracking.curves import differing

MODELS_PER_PAGE, VERSIONS_PER_PAGE = 100, 50
NODE_WIDTH, NODE_HEIGHT, NODE_STEP = 148, 74, 172
NODE_LETTERS = 14
"""As many bold letters of common width as a link of the chain holds."""


class Node(NamedTuple):
    """One link of the lineage, as a box."""

    x: int
    title: str
    line: str
    note: str
    href: str
    tone: str = ""


class Box(NamedTuple):
    """A box to draw over an image, in its pixels."""

    x: float
    y: float
    width: float
    height: float
    label: str


class Shown(NamedTuple):
    """An image on which two versions disagree, with the boxes of either."""

    facts: Disagreement
    href: str
    picture: str
    truths: list[Box]
    rival: list[Box]
    version: list[Box]


@get("/models", sync_to_thread=True)
def models_page(request: Request[Any, Any, Any]) -> Response[str]:
    """Every model, by name."""
    viewer = viewer_of(request)
    wanted = ListModels(after=request.query_params.get("after", ""), limit=MODELS_PER_PAGE)
    found = list_models(workspace_of(request), viewer.call, wanted)
    return page(request, "models.html", viewer, models=found.models, next_after=found.next_after)


@get("/models/{model:str}", sync_to_thread=True)
def model_page(model: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """The versions of a model, newest first."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    wanted = ListVersions(
        model=model,
        before=whole(request.query_params.get("before", "")),
        limit=VERSIONS_PER_PAGE,
    )
    found = list_versions(workspace, viewer.call, wanted)
    if not found.versions and not found.foreign.versions and wanted.before is None:
        show_model(workspace, viewer.call, model)  # says that there is none
    serving = count_serving(workspace, viewer.call, CountServing(model=model))
    return page(
        request,
        "model.html",
        viewer,
        model=model,
        versions=found.versions[::-1],
        foreign=found.foreign,
        serving=serving.devices,
        next_before=found.next_before,
    )


@get("/models/{model:str}/{number:int}", sync_to_thread=True)
def version_page(
    model: FromPath[str], number: FromPath[int], request: Request[Any, Any, Any]
) -> Response[str]:
    """One version: what it is, what it proved, where it came from and went, and the decision."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    known = show_registered(workspace, viewer.call, ShowRegistered(version=f"{model}@{number}"))
    if known.bundle is None:
        return page(
            request,
            "version-foreign.html",
            viewer,
            version=known,
            why_not_released=WHY_NOT_RELEASED,
        )
    card = show_version(workspace, viewer.call, ShowVersion(version=f"{model}@{number}"))
    state = _state(workspace, viewer, model, number)
    evaluation = card.evaluations[0] if card.evaluations else None
    return page(
        request,
        "version.html",
        viewer,
        card=card,
        evaluation=evaluation,
        most_characters=MAX_COMMENT_CHARACTERS,
        comparison_href=f"/models/{model}/{number}/comparison",
        **state,
    )


@get("/models/{model:str}/{number:int}/state", sync_to_thread=True)
def version_state(
    model: FromPath[str], number: FromPath[int], request: Request[Any, Any, Any]
) -> Response[str]:
    """How it stands and where it went, for a page that is open."""
    viewer = viewer_of(request)
    return page(
        request,
        "_version-state.html",
        viewer,
        **_state(workspace_of(request), viewer, model, number),
    )


@get("/models/{model:str}/{number:int}/comparison", sync_to_thread=True)
def version_comparison(
    model: FromPath[str], number: FromPath[int], request: Request[Any, Any, Any]
) -> Response[str]:
    """Slices and pictures; that they cannot be compared is said in their place."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    against = whole(request.query_params.get("against", ""))
    wanted = CompareVersions(model=model, number=number)
    if against is not None:
        wanted = msgspec.structs.replace(wanted, against=against)
    try:
        found = compare_versions(workspace, viewer.call, wanted)
    except SightloopError as error:
        return page(request, "_comparison.html", viewer, found=None, problem=error.message)
    return page(
        request,
        "_comparison.html",
        viewer,
        found=found,
        problem="",
        chart=_slices_chart(found),
        gains=[_shown(found, one) for one in found.gains],
        losses=[_shown(found, one) for one in found.losses],
    )


@get("/models/{model:str}/compare", sync_to_thread=True)
def models_compare(model: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """Two versions of a model side by side."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    numbers = [request.query_params.get(side, "") for side in ("a", "b")]
    cards = [
        show_version(workspace, viewer.call, ShowVersion(version=f"{model}@{number}"))
        for number in numbers
    ]
    sides = [
        {
            "data": card.version.dataset_commit or "not known",
            "engine": card.bundle.engine,
            "classes": ", ".join(card.bundle.class_names),
            "input": f"{card.bundle.input.width_px} x {card.bundle.input.height_px} px",
            "threshold": f"{card.bundle.thresholds.score:.3f}",
            "seed": str(card.origin.seed),
            **card.origin.parameters,
        }
        for card in cards
    ]
    names = sorted({name for side in sides for name in side})
    first, second = (card.version for card in cards)
    return page(
        request,
        "models-compare.html",
        viewer,
        model=model,
        cards=cards,
        inputs=[(name, [side.get(name) for side in sides]) for name in names],
        differing=set(differing(sides)),
        comparison_href=f"/models/{model}/{second.number}/comparison?against={first.number}",
    )


@get("/models/{model:str}/{number:int}/evidence.json", sync_to_thread=True)
def version_evidence(
    model: FromPath[str], number: FromPath[int], request: Request[Any, Any, Any]
) -> Response[bytes]:
    """The chain from devices back to pixels, which are read again for it, as a file."""
    wanted = ShowEvidence(version=f"{model}@{number}")
    chain = show_evidence(workspace_of(request), viewer_of(request).call, wanted)
    content = msgspec.json.format(msgspec.json.encode(chain), indent=2)
    name = f"{chain.version.model}-{chain.version.number}-evidence.json"
    return _saved(content, name, media_type="application/json")


@get("/models/{model:str}/{number:int}/card.md", sync_to_thread=True)
def version_card(
    model: FromPath[str], number: FromPath[int], request: Request[Any, Any, Any]
) -> Response[bytes]:
    """The card as Markdown, as a file."""
    wanted = ShowVersion(version=f"{model}@{number}")
    card = show_card(workspace_of(request), viewer_of(request).call, wanted)
    name = f"{card.version.replace('@', '-')}-card.md"
    return _saved(card.markdown.encode(), name, media_type="text/markdown; charset=utf-8")


@post("/models/{model:str}/{number:int}/decide", status_code=303)
async def version_decide(
    model: FromPath[str], number: FromPath[int], request: Request[Any, Any, Any]
) -> Response[Any]:
    """A person's yes or no; the loop goes on with it."""
    viewer, form = await form_of(request)
    services = {"approve": approve_version, "reject": reject_version}
    service = services.get(form.text("decision"))
    if service is None:
        raise BadDecision(given=form.text("decision"))
    wanted = DecideVersion(model=model, number=number, comment=form.text("comment"))
    await asyncio.to_thread(service, workspace_of(request), viewer.call, wanted)
    return Redirect(f"/models/{quote(model)}/{number}#decide", status_code=303)


def _state(workspace: Workspace, viewer: Viewer, model: str, number: int) -> dict[str, Any]:
    found = show_lineage(workspace, viewer.call, ShowLineage(model=model, number=number))
    aliases = list_versions(
        workspace, viewer.call, ListVersions(model=model, before=number + 1, limit=1)
    ).versions
    turn = found.turn
    return {
        "lineage": found,
        "nodes": lineage_nodes(found),
        "node_size": (NODE_WIDTH, NODE_HEIGHT, NODE_STEP),
        "aliases": aliases[0].aliases if aliases else [],
        "is_awaited": turn is not None and turn.state is TurnState.AWAITING_APPROVAL,
    }


def lineage_nodes(found: Lineage) -> list[Node]:
    """The way of a version from images to devices, from left to right."""
    version, verdict = found.version, found.verdict
    here = f"/models/{version.model}/{version.number}"
    links = [
        (
            "Images",
            f"{found.n_samples:,} at {short(found.commit)[:8]}" if found.commit else "not known",
            "what it learned from",
            f"/datasets/{found.commit}" if found.commit else f"{here}#origin",
            "",
        ),
        ("Run", short(found.run), found.run_state, f"/runs/{quote(found.run)}", ""),
        (
            "Version",
            _fitting(version),
            "signed" if version.signed_at_ms else "not signed",
            here,
            "",
        ),
    ]
    if verdict is not None:
        outcome = verdict.verdict.outcome
        against = "on its own" if verdict.champion is None else f"against @{verdict.champion}"
        tone = {"pass": "good", "fail": "bad"}.get(outcome, "")
        links.append(("Verdict", outcome, against, f"{here}#verdict", tone))
    else:
        links.append(("Verdict", "none yet", "", f"{here}#verdict", ""))
    if found.approval is not None:
        word = {"approve": "approved", "reject": "rejected"}[found.approval.decision]
        tone = "good" if found.approval.decision == "approve" else "bad"
        links.append(("Decision", word, f"by {found.approval.by}", f"{here}#decide", tone))
    if found.rollouts:
        newest = found.rollouts[0]
        href = f"/fleet/rollouts/{newest.rollout}"
        tone = {"finished": "good", "rolled_back": "bad", "aborted": "bad"}.get(newest.state, "")
        note = short(newest.rollout)
        links.append(("Rollout", newest.state.replace("_", " "), note, href, tone))
    else:
        links.append(("Rollout", "none yet", "", "/fleet/rollouts", ""))
    n_devices = f"{found.n_devices:,} {'device' if found.n_devices == 1 else 'devices'}"
    links.append(("Devices", n_devices, "are to run it now", "/fleet", ""))
    return [
        Node(
            1 + NODE_STEP * index, title, clipped(line, NODE_LETTERS), clipped(note, 24), href, tone
        )
        for index, (title, line, note, href, tone) in enumerate(links)
    ]


def _fitting(version: ModelVersion) -> str:
    number = f"@{version.number}"
    return f"{clipped(version.model, NODE_LETTERS - len(number))}{number}"


def _slices_chart(found: Comparison) -> str:
    pairs = [_pair_of(one) for one in found.strata]
    about = (
        f"of {found.version}" if found.rival is None else f"of {found.rival} and {found.version}"
    )
    return pair_chart(
        pairs,
        title=f"AP50 {about} by slice",
        x_label="AP50 (0 to 1)"
        + ("" if found.rival is None else "; the thin line is the 95 % interval of the change"),
        names=(found.rival or "", found.version),
    )


def _pair_of(change: StratumChange) -> Pair:
    label = f"{change.stratum.partition('=')[2] or 'all images'} ({change.n_images})"
    if change.rival is None or change.low is None or change.high is None:
        return Pair(label, change.rival, change.version)
    return Pair(
        label,
        change.rival,
        change.version,
        low=change.rival + change.low,
        high=change.rival + change.high,
    )


def _shown(found: Comparison, one: Disagreement) -> Shown:
    return Shown(
        one,
        sample_address(found.commit, one.sample),
        picture_address(one.image, side_px=480),
        [_box(found, box) for box in one.truths],
        [_box(found, box) for box in one.rival],
        [_box(found, box) for box in one.version],
    )


def _box(found: Comparison, box: Detection | LabelledBox) -> Box:
    known = box.class_index < len(found.class_names)
    name = clipped(found.class_names[box.class_index] if known else "?", 60)
    label = f"{name} {box.score:.2f}" if isinstance(box, Detection) else f"{name}, labelled"
    return Box(box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1, label)


def sample_address(commit: str, sample: str) -> str:
    """Where a page shows the sample as it is in the commit."""
    return f"/datasets/{commit}/samples/{sample}"


def _saved(content: bytes, name: str, *, media_type: str) -> Response[bytes]:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(content, media_type=media_type, headers=headers)
