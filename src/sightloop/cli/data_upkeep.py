"""`sightloop data gc|verify|erase`: what is not needed, what is damaged, what must go."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sightloop.cli.command import Session, command

if TYPE_CHECKING:
    from sightloop.datasets.upkeep.erasing import Erased

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "gc")(gc)
    command(data, "verify")(verify)
    command(data, "erase")(erase)


def gc(
    session: Session,
    *,
    grace: Annotated[
        str, typer.Option(help="Keep what a branch left within this time: 14d, 12h, 0d.")
    ] = "14d",
    dry_run: Annotated[bool, typer.Option(help="Only say what would go.")] = False,
) -> None:
    """Free the disk of what no branch, tag or record needs any more."""
    from sightloop.cli.views import data_upkeep as views
    from sightloop.datasets.upkeep.account import Collected
    from sightloop.datasets.upkeep.collecting import CollectGarbage

    request = CollectGarbage(grace_s=seconds_of(grace), is_dry_run=dry_run)
    session.print(session.call("data.gc", request, Collected), views.collected)


def verify(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch, tag or commit; none checks all.")] = "",
    repair: Annotated[
        str, typer.Option(help="A remote from which to mend what is damaged or missing.")
    ] = "",
) -> None:
    """Hash all bytes again; exit code 1 when some are damaged or missing.

    Without --repair nothing is changed.
    """
    from sightloop.cli.views import data_upkeep as views
    from sightloop.datasets.upkeep.flaws import Verified
    from sightloop.datasets.upkeep.verifying import VerifyData

    found = session.call("data.verify", VerifyData(ref=ref, repair_from=repair), Verified)
    session.print(found, views.verified)
    if not found.is_whole:
        raise typer.Exit(1)


def erase(
    session: Session,
    *,
    sample: Annotated[
        list[str] | None, typer.Option(help="A sample's id; may be repeated.")
    ] = None,
    image: Annotated[
        list[str] | None, typer.Option(help="An image's digest; may be repeated.")
    ] = None,
    slice_: Annotated[
        list[str] | None, typer.Option("--slice", help="FIELD=VALUE; may be repeated.")
    ] = None,
    tag: Annotated[str, typer.Option(help="With this tag.")] = "",
    ref: Annotated[
        str, typer.Option(help="Look for slices and tag there; without it, in every version.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why; stays on record, so name nobody in it.")],
    dry_run: Annotated[bool, typer.Option(help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option(help="Do not ask.")] = False,
) -> None:
    """Erase images from every version for good. It cannot be undone."""
    from sightloop.cli.views import data_upkeep as views
    from sightloop.datasets.upkeep.erasing import Erased, EraseData
    from sightloop.datasets.upkeep.selecting import Wanted
    from sightloop.datasets.values import SampleId
    from sightloop.kernel.digests import Digest

    wanted = Wanted(
        samples=[SampleId(one) for one in sample or []],
        images=[Digest(one) for one in image or []],
        slices=slice_ or [],
        tag=tag,
        ref=ref,
    )
    if dry_run or not yes:
        planned = EraseData(wanted=wanted, reason=reason, is_dry_run=True)
        account = session.call("data.erase", planned, Erased)
        if dry_run:
            session.print(account, views.erased)
            return
        _confirm(session, account)
    request = EraseData(wanted=wanted, reason=reason)
    session.print(session.call("data.erase", request, Erased), views.erased)


def seconds_of(duration: str) -> float:
    """A time as people write it, in seconds.

    Raises:
        BadDuration: it is written otherwise.

    >>> seconds_of("14d"), seconds_of("1.5h")
    (1209600.0, 5400.0)
    """
    from sightloop.datasets.upkeep.errors import BadDuration

    found = _DURATION.fullmatch(duration.strip())
    if found is None:
        raise BadDuration(text=duration)
    return float(found[1]) * _UNITS_S[found[2]]


def is_watched() -> bool:
    """Whether a person can answer."""
    return sys.stdin.isatty()


def _confirm(session: Session, account: Erased) -> None:
    """Return when a person typed that they mean it.

    Raises:
        NotConfirmed: nobody is there to ask, or the answer was another.
    """
    from sightloop.cli.render import error_console
    from sightloop.cli.views import data_upkeep as views
    from sightloop.datasets.upkeep.errors import NotConfirmed

    wanted = f"erase {account.n_images}"
    if session.as_json or not is_watched():
        raise NotConfirmed(answer="")
    error_console().print(views.erased(account))
    answer = typer.prompt(f"Type {wanted!r} to do it; it cannot be undone", err=True)
    if answer.strip() != wanted:
        raise NotConfirmed(answer=answer)
