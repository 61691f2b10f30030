"""Datasets in the browser: branches, commits, their images with boxes, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from litestar import Request, Response, get
from litestar.params import FromPath

from sightloop.datasets.browsing import (
    FindCommit,
    FoundCommit,
    Head,
    ListedSample,
    ListHeads,
    ListSamples,
    SamplePage,
    ShowSample,
    ShowStatistics,
    find_commit,
    list_heads,
    list_samples,
    show_sample,
    show_statistics,
)
from sightloop.datasets.commits import LogCommits, LoggedCommit, log_commits
from sightloop.datasets.comparing import CommitDiff, DiffCommits, diff_commits
from sightloop.datasets.index import LANES, SIZES, SPLITS
from sightloop.datasets.resolving import ListMerges, list_open_merges
from sightloop.datasets.statistics import Statistics
from sightloop.datasets.values import SampleId
from sightloop.kernel.workspace import Workspace
from sightloop.server.console.dataset_addresses import Query, filter_query, ref_address, ref_of
from sightloop.server.console.dataset_drawings import (
    MAX_VALUE_LENGTH,
    Pair,
    Stroke,
    class_styles,
    drawn_boxes,
    pair_of,
    slice_chart,
    statistics_charts,
    strokes,
)
from sightloop.server.console.pictures import picture_address
from sightloop.server.console.rendering import page
from sightloop.server.console.session import Viewer, viewer_of
from sightloop.server.context import workspace_of

N_COMMITS = 20
N_IMAGES = 48
N_PAIRS = 12
N_ROWS = 200
N_LEGEND = 10
N_FIELDS = 8
"""Slice fields that get a filter and a chart of their own."""

PATIENCE_S = 0.07
"""How long a page waits for an index before it says how far that is."""

TABS = (("images", "Images"), ("statistics", "Statistics"), ("changes", "Changes"))
FILTERS = ("class", "size", "slice", "split", "lane", "tag", "boxes")
THUMB_PX, HALF_PX, LARGE_PX = 240, 480, 1024


class Thumb(NamedTuple):
    """A picture of the grid."""

    listed: ListedSample
    address: str
    strokes: list[Stroke]


class Choice(NamedTuple):
    """A value of a filter and how many images have it; None where that is not known yet."""

    value: str
    name: str
    images: int | None


@get("/datasets", sync_to_thread=True)
def datasets(request: Request[Any, Any, Any]) -> Response[str]:
    """Branches and tags, and the history of one of them."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    after = request.query_params.get("after", "")
    branches = list_heads(workspace, viewer.call, ListHeads(after=after, limit=N_COMMITS + 1))
    tags = list_heads(workspace, viewer.call, ListHeads(kind="tag", limit=N_COMMITS))
    shown = request.query_params.get("branch", "") or _usual(branches)
    start = request.query_params.get("from", "")
    log = _log(workspace, viewer, start or shown, N_COMMITS + 1) if shown else []
    return page(
        request,
        "datasets.html",
        viewer,
        branches=branches[:N_COMMITS],
        next_branch=branches[N_COMMITS - 1].name if len(branches) > N_COMMITS else None,
        tags=tags,
        n_merges=len(list_open_merges(workspace, viewer.call, ListMerges())),
        shown=shown,
        log=log[:N_COMMITS],
        next_commit=log[N_COMMITS].commit if len(log) > N_COMMITS else None,
        address=ref_address,
    )


@get("/datasets/compare", sync_to_thread=True)
def compare(request: Request[Any, Any, Any]) -> Response[str]:
    """What became of samples and boxes between two commits, side by side."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    before, after = (request.query_params.get(name, "").strip() for name in ("a", "b"))
    branches = list_heads(workspace, viewer.call, ListHeads(limit=N_ROWS))
    values: dict[str, Any] = {"diff": None, "given": (before, after), "branches": branches}
    if before and after:
        values |= _difference(request, viewer, before, after)
    return page(request, "compare.html", viewer, address=ref_address, **values)


@get("/datasets/{ref:str}", sync_to_thread=True)
def dataset(ref: FromPath[str], request: Request[Any, Any, Any]) -> Response[str]:
    """One commit: its images, its counts, what it changed."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    name = ref_of(ref)
    found = find_commit(workspace, viewer.call, FindCommit(ref=name))
    wanted = request.query_params.get("tab", "images")
    tab = wanted if wanted in dict(TABS) else "images"
    values: dict[str, Any] = {"images": _images, "statistics": _counts, "changes": _changes}[tab](
        request, viewer, name, found
    )
    return page(
        request,
        "dataset.html",
        viewer,
        name=name,
        base=ref_address(name, commit=found.commit),
        commit=found.commit,
        record=found.record,
        logged=_log(workspace, viewer, found.commit, 1)[0],
        tab=tab,
        tabs=TABS,
        address=ref_address,
        **values,
    )


@get("/datasets/{ref:str}/samples/{sample:str}", sync_to_thread=True)
def sample_page(
    ref: FromPath[str], sample: FromPath[str], request: Request[Any, Any, Any]
) -> Response[str]:
    """One image with its boxes and everything that is known of it."""
    viewer, workspace = viewer_of(request), workspace_of(request)
    name = ref_of(ref)
    shown = show_sample(workspace, viewer.call, ShowSample(ref=name, sample=SampleId(sample)))
    fields = _fields(request)
    following = _listed(workspace, viewer, name, fields, after=shown.sample.id, limit=1).samples
    return page(
        request,
        "sample.html",
        viewer,
        name=name,
        base=ref_address(name, commit=shown.commit),
        shown=shown,
        boxes=drawn_boxes(shown.sample, shown.taxonomy),
        next_sample=following[0].sample.id if following else None,
        filter=filter_query(fields),
        picture=picture_address(shown.sample.image, side_px=LARGE_PX),
        original=picture_address(shown.sample.image),
        address=ref_address,
    )


def _images(
    request: Request[Any, Any, Any], viewer: Viewer, name: str, found: FoundCommit
) -> dict[str, Any]:
    """The grid, and filters with their counts."""
    workspace, fields = workspace_of(request), _fields(request)
    after = request.query_params.get("after", "")
    # By digest: between two pages the branch may have moved.
    listed = _listed(workspace, viewer, found.commit, fields, after=after, limit=N_IMAGES)
    # One wait per page: both stand on the same index.
    patience_s = 0.0 if listed.pending else PATIENCE_S
    asked = ShowStatistics(ref=found.commit, with_tables=False, patience_s=patience_s)
    counted = show_statistics(workspace, viewer.call, asked)
    styles = class_styles(found.record.taxonomy)
    return {
        "listed": listed,
        "thumbs": [
            Thumb(
                one,
                picture_address(one.sample.image, side_px=THUMB_PX),
                strokes(one.sample.annotations, styles),
            )
            for one in listed.samples
        ],
        "legend": [(one.name, styles[one.id]) for one in found.record.taxonomy.classes][:N_LEGEND],
        "pending": listed.pending or counted.pending,
        "choices": _choices(found, counted.statistics),
        "slice_choices": _slice_choices(counted.statistics),
        "fields": dict(fields),
        "slices_wanted": [value for key, value in fields if key == "slice"],
        "filter": filter_query(fields),
        "query_with": lambda **changes: filter_query(fields, **changes),
        "is_filtered": bool(fields),
        "after": after,
        "words": _command_words(name, fields),
    }


def _counts(
    request: Request[Any, Any, Any], viewer: Viewer, name: str, found: FoundCommit
) -> dict[str, Any]:
    """The charts."""
    asked = ShowStatistics(ref=found.commit, patience_s=PATIENCE_S)
    shown = show_statistics(workspace_of(request), viewer.call, asked)
    counted = shown.statistics
    return {
        "pending": shown.pending,
        "counted": counted,
        "charts": statistics_charts(counted) if counted else {},
        "slice_charts": [
            (one, slice_chart(one.field, one.values)) for one in counted.slices[:N_FIELDS]
        ]
        if counted
        else [],
        "n_rows": N_ROWS,
        "words": f"data stats {name}",
    }


def _changes(
    request: Request[Any, Any, Any], viewer: Viewer, name: str, found: FoundCommit
) -> dict[str, Any]:
    """What the commit did to its parent."""
    if not found.record.parents:
        return {"pending": None, "diff": None, "words": f"data log {name}"}
    return _difference(request, viewer, found.record.parents[0], found.commit)


def _difference(
    request: Request[Any, Any, Any], viewer: Viewer, before: str, after: str
) -> dict[str, Any]:
    kind = request.query_params.get("kind", "")
    beyond = request.query_params.get("beyond", "")
    asked = DiffCommits(
        before=before,
        after=after,
        kind=kind,
        beyond=SampleId(beyond) if beyond else None,
        limit=N_PAIRS,
        patience_s=PATIENCE_S,
    )
    diff = diff_commits(workspace_of(request), viewer.call, asked)
    return {
        "diff": diff,
        "pending": diff.pending,
        "pairs": _pairs(diff),
        "half": lambda sample: picture_address(sample.image, side_px=HALF_PX),
        "kind": kind,
        "beyond": beyond,
        "words": f"data diff {before} {after}",
    }


def _pairs(diff: CommitDiff) -> list[Pair]:
    taxonomies = (diff.before_record.taxonomy, diff.after_record.taxonomy)
    names = {one.id: one.name for taxonomy in taxonomies for one in taxonomy.classes}
    return [pair_of(one, names) for one in diff.samples]


def _fields(request: Request[Any, Any, Any]) -> Query:
    """The filter's fields that are set."""
    pairs = request.query_params.multi_items()
    given = [(key, str(value)) for key, value in pairs if key in FILTERS and value]
    return sorted(given, key=lambda pair: FILTERS.index(pair[0]))


def _listed(
    workspace: Workspace, viewer: Viewer, ref: str, fields: Query, *, after: str, limit: int
) -> SamplePage:
    given = dict(fields)
    asked = ListSamples(
        ref=ref,
        class_name=given.get("class", ""),
        size=given.get("size", ""),
        slices=[value for key, value in fields if key == "slice"],
        split=given.get("split", ""),
        lane=given.get("lane", ""),
        tag=given.get("tag", ""),
        without_boxes=given.get("boxes") == "none",
        after=SampleId(after) if after else None,
        limit=limit,
        patience_s=PATIENCE_S,
    )
    return list_samples(workspace, viewer.call, asked)


def _log(workspace: Workspace, viewer: Viewer, ref: str, limit: int) -> list[LoggedCommit]:
    return log_commits(workspace, viewer.call, LogCommits(ref=ref, limit=limit))


def _usual(branches: Sequence[Head]) -> str:
    """The branch whose history is shown when none is asked for."""
    names = [one.name for one in branches]
    return "main" if "main" in names else next(iter(names), "")


def _choices(found: FoundCommit, counted: Statistics | None) -> list[tuple[str, str, list[Choice]]]:
    """Each filter's name in the address, its label, and its values."""
    classes = found.record.taxonomy.classes
    per_class = {one.class_id: one.images for one in counted.classes} if counted else {}
    splits = {one.name: one.images for one in counted.splits} if counted else {}
    lanes = {one.name: one.images for one in counted.lanes} if counted else {}
    tags = counted.tags if counted else []
    choices = [
        ("class", "Class", [Choice(one.id, one.name, per_class.get(one.id)) for one in classes]),
        ("size", "Box size", [Choice(one, one, None) for one in SIZES]),
        ("split", "Split", [Choice(one, one, splits.get(one)) for one in SPLITS]),
        ("lane", "Lane", [Choice(one, one, lanes.get(one)) for one in LANES]),
        ("tag", "Tag", [Choice(one.name, one.name, one.images) for one in tags]),
    ]
    return [(key, label, _offered(values)) for key, label, values in choices if values]


def _slice_choices(counted: Statistics | None) -> list[tuple[str, list[Choice]]]:
    fields = counted.slices[:N_FIELDS] if counted else []
    return [
        (
            one.field,
            _offered([Choice(f"{one.field}={v.name}", v.name, v.images) for v in one.values]),
        )
        for one in fields
    ]


def _offered(choices: Sequence[Choice]) -> list[Choice]:
    return [one for one in choices if len(one.value) <= MAX_VALUE_LENGTH][:N_ROWS]


def _command_words(name: str, fields: Query) -> str:
    words = [f"data samples {name}"]
    for key, value in fields:
        if key == "boxes":
            words.append("--without-boxes")
        else:
            words.append(f"--{key} {_quoted(value)}")
    return " ".join(words)


def _quoted(value: str) -> str:
    plain = value.replace("'", "'\\''")
    return value if value.replace("=", "").replace("-", "").isalnum() else f"'{plain}'"
