"""`data suspects`: labels that deserve a second look, the most doubtful first, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from sightloop.datasets.branches import resolve_ref
from sightloop.datasets.curation.columns import Columns, Numbers
from sightloop.datasets.curation.contradictions import contradictions
from sightloop.datasets.curation.duplicates import MAX_PAGE, Member, member_of
from sightloop.datasets.curation.likeness import Likeness, columns_of, likeness_of
from sightloop.datasets.curation.suspicions import RULES, Rule, Suspicions, all_suspicions
from sightloop.datasets.errors import BadFilter
from sightloop.datasets.geometry import WholeImage, area_of
from sightloop.datasets.prepared import Pending, Prepared
from sightloop.datasets.samples import find_samples, load_commit
from sightloop.datasets.values import Annotation, ClassId, Sample, SampleId, Taxonomy
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.digests import Digest
from sightloop.kernel.progress import Progress
from sightloop.kernel.workspace import Call, Workspace

N_IN_MEMORY = 4


class FindSuspects(msgspec.Struct, frozen=True, kw_only=True):
    """Suspicious labels of a commit, by their score."""

    ref: str
    rule: str = ""
    """One of `suspicions.RULES`; all of them if it is not given."""
    copies: bool = False
    """Also compare look-alikes with each other; all images must have been looked at for that."""
    after: int = 0
    """How many to pass over."""
    limit: int = 20
    patience_s: float | None = None
    """How long to wait for the answer; None waits for it."""


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """A label, or a whole image, that deserves a second look."""

    rule: Rule
    score: float
    """In (0, 1]; how far beyond the rule's limit. Orders the list, and is no probability."""
    reason: str
    sample: Member
    annotations: list[Annotation]
    """Those that are meant; of a sample that is unlike its copy, all."""
    other: Member | None = None
    """The look-alike with more objects."""
    other_annotations: list[Annotation] = []


class Suspects(msgspec.Struct, frozen=True, kw_only=True):
    """What deserves a second look; `pending` while it is being worked out."""

    commit: Digest
    taxonomy: Taxonomy
    pending: Pending | None = None
    n_labels: int = 0
    """Annotations that were looked at."""
    n_by_rule: dict[Rule, int] = {}
    total: int = 0
    """Of the rule that was asked for, else of all."""
    suspects: list[Suspect] = []
    next_after: int | None = None


def find_suspects(workspace: Workspace, call: Call, request: FindSuspects) -> Suspects:
    """Labels that deserve a second look. Sizes are measured against this commit's own boxes.

    Raises:
        NoSuchRef: nothing has that name.
        AmbiguousRef: several commits begin like this.
        BadFilter: there is no such rule.
    """
    require(call.actor, Permission.READ)
    if request.rule not in ("", *RULES):
        raise BadFilter(what="rule", value=request.rule, known=RULES)
    with workspace.db.read() as tx:
        commit = resolve_ref(tx, request.ref)
        taxonomy = load_commit(tx, commit).taxonomy
    ranked = _RANKED.get(
        (workspace.state, commit, request.copies),
        lambda note: _rank(workspace, commit, copies=request.copies, progress=note),
        patience_s=request.patience_s,
        progress=call.progress,
    )
    if isinstance(ranked, Pending):
        return Suspects(commit=commit, taxonomy=taxonomy, pending=ranked)
    places = np.arange(len(ranked.rules))
    if request.rule:
        places = np.flatnonzero(ranked.rules == [str(one) for one in RULES].index(request.rule))
    start, limit = max(request.after, 0), min(max(request.limit, 1), MAX_PAGE)
    counts = np.bincount(ranked.rules, minlength=len(RULES))
    return Suspects(
        commit=commit,
        taxonomy=taxonomy,
        n_labels=len(ranked.columns.samples),
        n_by_rule={rule: int(n) for rule, n in zip(RULES, counts, strict=True) if n},
        total=len(places),
        suspects=_told(workspace, commit, taxonomy, ranked, places[start : start + limit]),
        next_after=start + limit if len(places) > start + limit else None,
    )


class _Ranked(NamedTuple):
    """All suspicions, the highest score first."""

    columns: Columns
    rules: Numbers
    samples: Numbers
    first: Numbers
    second: Numbers
    scores: Numbers
    values: Numbers


_RANKED: Prepared[tuple[Path, Digest, bool], _Ranked] = Prepared(keep=N_IN_MEMORY)


def _rank(workspace: Workspace, commit: Digest, *, copies: bool, progress: Progress) -> _Ranked:
    columns = columns_of(workspace, commit, progress=progress)
    assert isinstance(columns, Columns), "without patience there is nothing but the end"
    found = all_suspicions(columns)
    if copies:
        likeness = likeness_of(workspace, commit, progress=progress)
        assert isinstance(likeness, Likeness), "without patience there is nothing but the end"
        found.append(_unlike(likeness))
    rules = np.concatenate([np.full(len(one.samples), RULES.index(one.rule)) for one in found])
    samples, first, second, scores, values = (
        np.concatenate([one[at] for one in found]) for at in range(1, 6)
    )
    order = np.lexsort((first, samples, rules, -scores))
    return _Ranked(
        columns,
        *(column[order] for column in (rules, samples, first, second, scores, values)),
    )


def _unlike(likeness: Likeness) -> Suspicions:
    alike = likeness.alike
    order = np.lexsort((-alike.correlation, alike.bits))
    return contradictions(likeness.columns, alike.first[order], alike.second[order])


def _told(
    workspace: Workspace, commit: Digest, taxonomy: Taxonomy, ranked: _Ranked, places: Numbers
) -> list[Suspect]:
    unlike = ranked.rules == RULES.index("unlike its copy")
    rows = {*ranked.samples[places].tolist(), *ranked.second[places[unlike[places]]].tolist()}
    ids: dict[int, SampleId] = dict(zip(rows, ranked.columns.ids_of(rows), strict=True))
    found = find_samples(workspace, commit, list(ids.values()))
    samples = {row: found[one] for row, one in ids.items()}
    names = {one.id: one.name for one in taxonomy.classes}
    return [_suspect(ranked, int(place), samples, names) for place in places]


def _suspect(
    ranked: _Ranked, place: int, samples: Mapping[int, Sample], names: Mapping[ClassId, str]
) -> Suspect:
    columns, row = ranked.columns, int(ranked.samples[place])
    rule, sample = RULES[ranked.rules[place]], samples[row]
    value = float(ranked.values[place])
    if rule == "unlike its copy":
        other_row = int(ranked.second[place])
        other = samples[other_row]
        return Suspect(
            rule=rule,
            score=float(ranked.scores[place]),
            reason=f"{_objects(int(value))} of its look-alike {other.file_name or other.id} "
            "found no counterpart here",
            sample=member_of(sample, columns.splits[row]),
            annotations=sample.annotations,
            other=member_of(other, columns.splits[other_row]),
            other_annotations=other.annotations,
        )
    at = [int(one[place]) for one in (ranked.first, ranked.second) if one[place] >= 0]
    meant = [sample.annotations[one - int(columns.starts[row])] for one in at]
    return Suspect(
        rule=rule,
        score=float(ranked.scores[place]),
        reason=_reason(rule, value, meant, names),
        sample=member_of(sample, columns.splits[row]),
        annotations=meant,
    )


def _reason(
    rule: Rule, value: float, meant: Sequence[Annotation], names: Mapping[ClassId, str]
) -> str:
    first, last = (names.get(one.class_id, one.class_id) for one in (meant[0], meant[-1]))
    place = meant[0].geometry
    assert not isinstance(place, WholeImage), "every rule but one is about a place"
    sure = "" if np.isnan(value) else f" with score {value:.2f}"
    match rule:
        case "two classes":
            return f"{first} and {last} on the same place, IoU {value:.2f}"
        case "double":
            return f"{first} twice on the same place, IoU {value:.2f}"
        case "size":
            way = "larger" if value > 0 else "smaller"
            side_px = area_of(place) ** 0.5
            return f"{first} with a side of {side_px:.1f} px is {_far(value, way)} than its class"
        case "shape":
            way = "wider" if value > 0 else "taller"
            wide, high = place.x2 - place.x1, place.y2 - place.y1
            return f"{first} of {wide:.1f} x {high:.1f} px is {_far(value, way)} than its class"
        case "sliver":
            return f"{first} of which the image's border leaves {value:.1f} px"
        case "model differs":
            return f"labelled {first}; {meant[-1].source} says {last}{sure}"
        case _:
            return f"{meant[0].source} sees {first}{sure} where nothing is labelled"


def _far(deviations: float, way: str) -> str:
    return f"{abs(deviations):.0f} robust standard deviations {way}"


def _objects(n: int) -> str:
    return "1 object" if n == 1 else f"{n} objects"
