"""Look-alikes, leaks and suspicious labels in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table
from sightloop.datasets.commits import Committed
from sightloop.datasets.curation.duplicates import Cluster, Duplicates, Member
from sightloop.datasets.curation.leaks import Leak, Leaks
from sightloop.datasets.curation.suspects import Suspects
from sightloop.kernel.digests import short

N_NAMES = 4
CUT_OFF = "too many images look alike to find all; frames of one scene need one split key"


def duplicates(found: Duplicates) -> RenderableType:
    """Clusters of look-alikes."""
    head = facts(
        [
            ("commit", short(found.commit)),
            ("clusters", f"{found.n_clusters} of {found.n_samples} images together"),
            *_not_looked_at(found),
        ]
    )
    rows = (
        (one.n_samples, one.kind, one.max_bits, _counts(one.splits), _names(one))
        for one in found.clusters
    )
    columns = ("images", "kind", "n bits apart", "splits", "files")
    listed = table(columns, rows, empty="no image looks like another")
    return Group(head, Text(), listed, *_more(found.next_after, found.n_clusters, "clusters"))


def leaks(found: Leaks) -> RenderableType:
    """Leaks, the closest first."""
    head = facts(
        [
            ("commit", short(found.commit)),
            ("leaks", f"{found.n_leaks} held-out images resemble training images"),
            ("of them", _counts(found.by_split) or "none"),
            ("accepted", found.n_accepted),
            *_not_looked_at(found),
        ]
    )
    pairs = ((one.first, one.second, one.n_same, one.n_near) for one in found.split_pairs)
    keys = ((one.train_key, one.held_out_key, one.n_held_out) for one in found.keys)
    parts = [
        table(("split", "and", "n same", "n near"), pairs, empty="no look-alikes across splits"),
        table(
            ("held-out sample", "split", "file", "resembles", "n bits apart", "correlation"),
            (_leak(one) for one in found.leaks),
            empty="nothing leaks",
        ),
    ]
    if found.keys:
        parts.append(table(("split key in train", "held out", "n images"), keys, empty=""))
    spaced = [part for one in parts for part in (Text(), one)]
    return Group(head, *spaced, *_more(found.next_after, found.n_leaks, "leaks"))


def suspects(found: Suspects) -> RenderableType:
    """Labels to look at again."""
    head = facts(
        [
            ("commit", short(found.commit)),
            ("labels", found.n_labels),
            ("suspects", _counts(found.n_by_rule) or "none"),
        ]
    )
    rows = (
        (f"{one.score:.2f}", one.rule, one.sample.sample, one.reason, one.sample.file_name)
        for one in found.suspects
    )
    listed = table(("score", "rule", "sample", "why", "file"), rows, empty="no label stands out")
    return Group(head, Text(), listed, *_more(found.next_after, found.total, "suspects"))


def marked(done: Committed) -> RenderableType:
    """What a decision changed."""
    if not done.is_new:
        return Text("nothing to change, no new commit")
    return facts([("commit", short(done.commit)), ("samples changed", done.n_changed)])


def _leak(one: Leak) -> tuple[object, ...]:
    closest = one.alike[0]
    rest = f" and {one.n_alike - 1} more" if one.n_alike > 1 else ""
    split = f"{one.held_out.split}, accepted" if one.is_accepted else one.held_out.split
    bits = "same image" if closest.is_same else closest.bits
    resembled = _name(closest.member) + rest
    return one.held_out.sample, split, one.held_out.file_name, resembled, bits, closest.correlation


def _not_looked_at(found: Duplicates | Leaks) -> list[tuple[str, object]]:
    told: list[tuple[str, object]] = []
    if found.n_unreadable:
        told.append(("not looked at", f"{found.n_unreadable} images cannot be read"))
    if found.n_without_look:
        told.append(("without a look", f"{found.n_without_look} images of a single shade"))
    if not found.is_complete:
        told.append(("incomplete", CUT_OFF))
    return told


def _names(one: Cluster) -> str:
    named = ", ".join(_name(member) for member in one.members[:N_NAMES])
    rest = one.n_samples - N_NAMES
    return f"{named} and {rest} more" if rest > 0 else named


def _name(member: Member) -> str:
    return member.file_name or member.sample


def _counts(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items())


def _more(after: int | None, total: int, what: str) -> list[RenderableType]:
    if after is None:
        return []
    return [Text(), Text(f"{total} {what}; the next with --after {after}", style="dim")]
