"""Forwarding the spools of runs whose processes have gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sightloop.client.errors import SpoolDamaged, TargetAway
from sightloop.client.forwarder import Forwarder, end_abandoned
from sightloop.client.links import Link
from sightloop.client.places import Target
from sightloop.client.spool import RunSpool, all_spools
from sightloop.client.troubles import Troubles

LinkTo = Callable[[Target], Link]


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of one spool."""

    run: str
    target: str
    n_records: int
    is_done: bool
    """Whether everything of it is there now; the spool is gone then."""
    problems: list[str]


def never() -> bool:
    """Nobody asks to stop."""
    return False


def sync_spools(
    root: Path,
    link_to: LinkTo,
    *,
    now_ms: int,
    only: Target | None = None,
    should_stop: Callable[[], bool] = never,
) -> Iterator[Synced]:
    """Forward every spool that no process owns, oldest first; those of one target, if given.

    A run whose process never said how it ended has failed. Once a target does not answer, its
    other spools are left as they are, and told without a problem of their own.
    """
    away: set[Target] = set()
    for spool in all_spools(root):
        if should_stop():
            return
        run = spool.folder.name
        try:
            target = spool.head().target
            if (only is not None and target != only) or not spool.own():
                continue
            if target in away:
                spool.disown()
                yield Synced(run, str(target), 0, False, [])
                continue
        except (SpoolDamaged, OSError) as error:
            yield Synced(run, "", 0, False, [str(error)])
            continue
        done = _sync(spool, target, link_to, now_ms=now_ms, should_stop=should_stop)
        if not done.is_done:
            away.add(target)
        yield done


def _sync(
    spool: RunSpool,
    target: Target,
    link_to: LinkTo,
    *,
    now_ms: int,
    should_stop: Callable[[], bool],
) -> Synced:
    troubles, n_records, is_done = Troubles(), 0, False
    link = link_to(target)
    try:
        end_abandoned(spool, at_ms=now_ms)
        forwarder = Forwarder(spool, link, troubles)
        n_records = forwarder.forward(should_stop)
        is_done = forwarder.is_ended and not forwarder.has_more()
        if is_done:
            spool.remove()
    except TargetAway as error:
        troubles.add("not forwarded", error.message)
    except OSError as error:
        troubles.add("not read", error)
    finally:
        link.close()
        spool.disown()
    return Synced(spool.folder.name, str(target), n_records, is_done, troubles.lines())
