"""`sightloop data duplicates | leaks | suspects`: what to look at before training."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "duplicates")(duplicates)
    command(data, "leaks")(leaks)
    command(data, "suspects")(suspects)
    command(data, "mark")(mark)


def duplicates(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch or commit.")] = "main",
    kind: Annotated[str, typer.Option(help="same: one image, several captures; or near.")] = "",
    after: Annotated[int, typer.Option(help="Pass over so many clusters.")] = 0,
    limit: Annotated[int, typer.Option(help="How many clusters.")] = 20,
) -> None:
    """Images that are there more than once, or look as if they were, in clusters."""
    from sightloop.cli.views import data_curation as views
    from sightloop.datasets.curation.duplicates import Duplicates, FindDuplicates

    request = FindDuplicates(ref=ref, kind=kind, after=after, limit=limit)
    session.print(session.call("data.duplicates", request, Duplicates), views.duplicates)


def leaks(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch or commit; decisions need a branch.")] = "main",
    split: Annotated[
        list[str] | None, typer.Option(help="Only val, test or audit; may be repeated.")
    ] = None,
    quarantine: Annotated[
        bool, typer.Option(help="Take the held-out side of every leak out of its split.")
    ] = False,
    lift: Annotated[
        list[str] | None,
        typer.Option(help="Let this sample back into its split, for good; may be repeated."),
    ] = None,
    after: Annotated[int, typer.Option(help="Pass over so many leaks.")] = 0,
    limit: Annotated[int, typer.Option(help="How many leaks.")] = 20,
) -> None:
    """Held-out images that resemble training images."""
    from sightloop.cli.views import data_curation as views
    from sightloop.datasets.commits import Committed
    from sightloop.datasets.curation.leaks import HELD_OUT, FindLeaks, Leaks
    from sightloop.datasets.curation.marking import MarkSamples, QuarantineLeaks
    from sightloop.datasets.values import SampleId

    splits = split or HELD_OUT
    if lift:
        lifted = MarkSamples(branch=ref, samples=[SampleId(one) for one in lift])
        session.print(session.call("data.lift", lifted, Committed), views.marked)
        return
    if quarantine:
        asked = QuarantineLeaks(branch=ref, splits=splits)
        session.print(session.call("data.quarantine_leaks", asked, Committed), views.marked)
        return
    request = FindLeaks(ref=ref, splits=splits, after=after, limit=limit)
    session.print(session.call("data.leaks", request, Leaks), views.leaks)


def suspects(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch or commit.")] = "main",
    rule: Annotated[str, typer.Option(help="Only of this rule, such as double or size.")] = "",
    copies: Annotated[bool, typer.Option(help="Also compare the labels of look-alikes.")] = False,
    after: Annotated[int, typer.Option(help="Pass over so many.")] = 0,
    limit: Annotated[int, typer.Option(help="How many labels.")] = 20,
) -> None:
    """Labels that deserve a second look, the most doubtful first."""
    from sightloop.cli.views import data_curation as views
    from sightloop.datasets.curation.suspects import FindSuspects, Suspects

    request = FindSuspects(ref=ref, rule=rule, copies=copies, after=after, limit=limit)
    session.print(session.call("data.suspects", request, Suspects), views.suspects)


def mark(
    session: Session,
    *,
    samples: Annotated[list[str], typer.Argument(help="Ids of samples, 32 digits each.")],
    branch: Annotated[str, typer.Option(help="Branch to commit to.")] = "main",
    quarantine: Annotated[bool, typer.Option(help="Take them out of their splits.")] = False,
    tag: Annotated[str, typer.Option(help="Or give them this tag.")] = "review",
    message: Annotated[str, typer.Option("--message", "-m", help="What and why.")] = "",
) -> None:
    """Tag samples for whoever looks at them next, or quarantine them; one commit."""
    from sightloop.cli.views import data_curation as views
    from sightloop.datasets.commits import Committed
    from sightloop.datasets.curation.marking import MarkSamples, TagSamples
    from sightloop.datasets.values import SampleId

    ids = [SampleId(one) for one in samples]
    if quarantine:
        marked = MarkSamples(branch=branch, samples=ids, message=message)
        session.print(session.call("data.quarantine", marked, Committed), views.marked)
    else:
        tagged = TagSamples(branch=branch, samples=ids, tag=tag, message=message)
        session.print(session.call("data.tag_samples", tagged, Committed), views.marked)
