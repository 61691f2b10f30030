"""`sightloop data`: versions of images and boxes."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli import data_remotes
from sightloop.cli.command import Session, command


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    data = typer.Typer(help="Versions of images and of every box on them.", no_args_is_help=True)
    app.add_typer(data, name="data")
    command(data, "import")(import_)
    command(data, "export")(export)
    command(data, "log")(log)
    command(data, "show")(show)
    command(data, "branch")(branch)
    command(data, "samples")(samples)
    command(data, "sample")(sample)
    command(data, "stats")(stats)
    command(data, "diff")(diff)
    data_remotes.register(data)


def import_(
    session: Session,
    *,
    source: Annotated[str, typer.Argument(help="A data set's folder, or the file describing it.")],
    format_: Annotated[
        str, typer.Option("--format", help="Its format; told from its files unless given.")
    ] = "auto",
    branch: Annotated[str, typer.Option(help="Branch to commit to.")] = "main",
    message: Annotated[str, typer.Option("--message", "-m", help="What and why.")] = "",
    split_key: Annotated[str, typer.Option(help="Image field that keeps images together.")] = "",
    slice_field: Annotated[
        list[str] | None, typer.Option(help="Image field to keep as a slice; may be repeated.")
    ] = None,
    images: Annotated[str, typer.Option(help="Another image folder than the usual one.")] = "",
    ignore_splits: Annotated[
        bool, typer.Option(help="Deal images out anew, whatever split they come in.")
    ] = False,
    strict: Annotated[bool, typer.Option(help="Import all or, with one problem, nothing.")] = False,
) -> None:
    """Import a data set as one commit. Original files are only read."""
    from pathlib import Path

    from sightloop.cli.views import data as views
    from sightloop.datasets.importing import ImportDataset, Imported

    root = Path(source).resolve()
    request = ImportDataset(
        source=str(root),
        format=format_,
        images=str(Path(images).resolve()) if images else "",
        branch=branch,
        message=message or f"Import {root.name}",
        split_key=split_key or None,
        slice_fields=slice_field or [],
        ignore_splits=ignore_splits,
        strict=strict,
    )
    imported = session.call("data.import", request, Imported)
    session.print(imported, views.imported)


def export(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch, commit, or the beginning of one.")],
    folder: Annotated[str, typer.Argument(help="A folder that is not there yet.")],
    format_: Annotated[str, typer.Option("--format", help="How to write the labels.")] = "coco",
) -> None:
    """Write a commit as a folder of another format, original bytes and all."""
    from pathlib import Path

    from sightloop.cli.views import data as views
    from sightloop.datasets.exporting import ExportDataset, Exported

    request = ExportDataset(ref=ref, folder=str(Path(folder).resolve()), format=format_)
    exported = session.call("data.export", request, Exported)
    session.print(exported, views.exported)


def log(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch or commit.")] = "main",
    limit: Annotated[int, typer.Option(help="How many commits.")] = 20,
) -> None:
    """The history of a branch, newest first."""
    from sightloop.cli.views import data as views
    from sightloop.datasets.commits import LogCommits, LoggedCommit

    request = LogCommits(ref=ref, limit=limit)
    session.print(session.call("data.log", request, list[LoggedCommit]), views.commits)


def show(
    session: Session, *, ref: Annotated[str, typer.Argument(help="Branch or commit.")] = "main"
) -> None:
    """What a commit holds: splits, slices, classes."""
    from sightloop.cli.views import data as views
    from sightloop.datasets.commits import CommitFacts, ShowCommit

    session.print(session.call("data.show", ShowCommit(ref=ref), CommitFacts), views.commit)


def branch(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(help="Name of a new branch; none lists them.")] = "",
    at: Annotated[str, typer.Option(help="Where it begins.")] = "main",
) -> None:
    """List branches, or make one."""
    from sightloop.cli.views import data as views
    from sightloop.datasets.branches import CreateBranch
    from sightloop.datasets.store import Ref
    from sightloop.server.catalogue import Nothing

    if name:
        session.call("data.branch", CreateBranch(name=name, at=at), Ref)
    session.print(session.call("data.branches", Nothing(), list[Ref]), views.branches)


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
    from sightloop.cli.views import data as views
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
    from sightloop.cli.views import data as views
    from sightloop.datasets.browsing import ShownSample, ShowSample
    from sightloop.datasets.values import SampleId

    request = ShowSample(ref=ref, sample=SampleId(identity))
    session.print(session.call("data.sample", request, ShownSample), views.sample)


def stats(
    session: Session, *, ref: Annotated[str, typer.Argument(help="Branch or commit.")] = "main"
) -> None:
    """A commit counted: classes, box sizes, splits, slices, lanes."""
    from sightloop.cli.views import data as views
    from sightloop.datasets.browsing import CommitStatistics, ShowStatistics

    found = session.call("data.stats", ShowStatistics(ref=ref), CommitStatistics)
    session.print(found, views.statistics)


def diff(
    session: Session,
    *,
    before: Annotated[str, typer.Argument(help="Branch or commit.")],
    after: Annotated[str, typer.Argument(help="Branch or commit.")],
    kind: Annotated[
        str, typer.Option(help="Only samples with this change, such as added or 'box moved'.")
    ] = "",
    beyond: Annotated[str, typer.Option(help="Go on after this sample.")] = "",
    limit: Annotated[int, typer.Option(help="How many samples to list.")] = 20,
) -> None:
    """What became of samples and boxes from one commit to another."""
    from sightloop.cli.views import data as views
    from sightloop.datasets.comparing import CommitDiff, DiffCommits
    from sightloop.datasets.values import SampleId

    request = DiffCommits(
        before=before,
        after=after,
        kind=kind,
        beyond=SampleId(beyond) if beyond else None,
        limit=limit,
    )
    session.print(session.call("data.diff", request, CommitDiff), views.diff)
