"""`sightloop data samples`, `sample`, `stats`: looking around in a commit."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "samples")(samples)
    command(data, "sample")(sample)
    command(data, "stats")(stats)


def samples(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch or commit.")] = "main",
    class_name: Annotated[str, typer.Option("--class", help="With a box of this class.")] = "",
    size: Annotated[str, typer.Option(help="With a box that is small, medium or large.")] = "",
    slice_: Annotated[
        list[str] | None, typer.Option("--slice", help="FIELD=VALUE; may be repeated.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val, test, audit or quarantined.")] = "",
    lane: Annotated[str, typer.Option(help="A lane, or none: no device kept it.")] = "",
    tag: Annotated[str, typer.Option(help="With this tag.")] = "",
    without_boxes: Annotated[bool, typer.Option(help="With no box at all.")] = False,
    after: Annotated[str, typer.Option(help="Go on after this sample.")] = "",
    limit: Annotated[int, typer.Option(help="How many samples.")] = 20,
) -> None:
    """The samples of a commit, those to which everything that is given applies."""
    from sightloop.cli.views import data_samples as views
    from sightloop.datasets.browsing import ListSamples, SamplePage
    from sightloop.datasets.values import SampleId

    request = ListSamples(
        ref=ref,
        class_name=class_name,
        size=size,
        slices=slice_ or [],
        split=split,
        lane=lane,
        tag=tag,
        without_boxes=without_boxes,
        after=SampleId(after) if after else None,
        limit=limit,
    )
    session.print(session.call("data.samples", request, SamplePage), views.samples)


def sample(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch or commit.")],
    identity: Annotated[str, typer.Argument(help="The sample's id, 32 digits.", metavar="SAMPLE")],
) -> None:
    """One sample: its facts, its boxes, the commits that changed it."""
    from sightloop.cli.views import data_samples as views
    from sightloop.datasets.browsing import ShownSample, ShowSample
    from sightloop.datasets.values import SampleId

    request = ShowSample(ref=ref, sample=SampleId(identity))
    session.print(session.call("data.sample", request, ShownSample), views.sample)


def stats(
    session: Session, *, ref: Annotated[str, typer.Argument(help="Branch or commit.")] = "main"
) -> None:
    """A commit counted: classes, box sizes, splits, slices, lanes."""
    from sightloop.cli.views import data_samples as views
    from sightloop.datasets.browsing import CommitStatistics, ShowStatistics

    found = session.call("data.stats", ShowStatistics(ref=ref), CommitStatistics)
    session.print(found, views.statistics)
