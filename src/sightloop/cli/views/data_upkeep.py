"""Upkeep of data sets in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table
from sightloop.datasets.upkeep.account import Collected
from sightloop.datasets.upkeep.erasing import Erased
from sightloop.datasets.upkeep.flaws import Flaw, Verified
from sightloop.kernel.digests import short

SHOWN_FLAWS = 20


def collected(found: Collected) -> RenderableType:
    """What went or would go, and who keeps the rest."""
    verb = "would go" if found.is_dry_run else "went"
    went = table(
        (verb, "n ", "size"),
        (
            (one.kind, one.n, size(one.size_bytes) if one.size_bytes else "")
            for one in found.removed
        ),
        empty=f"nothing {verb}",
    )
    stays = table(
        ("kept by", "n commits", "n objects", "n files", "size"),
        (
            (
                one.holder.replace("_", " "),
                one.n_commits,
                one.n_objects,
                one.n_files,
                size(one.size_bytes),
            )
            for one in found.kept
        ),
        empty="nothing is needed",
    )
    return Group(went, Text(), stays, Text(), _disk(found))


def verified(found: Verified) -> RenderableType:
    """What was checked, and every flaw with what it touches."""
    head = facts(
        [
            ("checked", ", ".join(found.refs) or "no branch yet"),
            ("commits", found.n_commits),
            ("objects", found.n_objects),
            ("images", f"{found.n_images}, {size(found.size_bytes)} in all"),
            ("erased", found.n_erased),
            ("result", _result(found)),
        ]
    )
    if not found.flaws:
        return head
    rows = (
        (one.kind, short(one.digest), _state(one), one.n_commits, ", ".join(one.refs), _names(one))
        for one in found.flaws[:SHOWN_FLAWS]
    )
    columns = ("what", "digest", "state", "n commits", "at the head of", "files")
    more = len(found.flaws) - SHOWN_FLAWS
    rest = [Text(f"and {more} more; --json lists all", style="dim")] if more > 0 else []
    return Group(head, Text(), table(columns, rows, empty=""), *rest)


def erased(found: Erased) -> RenderableType:
    """What is gone or would go, and what still knows of it."""
    verb = "would go" if found.is_dry_run else "gone"
    names = ", ".join(found.file_names) or "none"
    head = facts(
        [
            (verb, f"{found.n_images} images ({size(found.image_bytes)})"),
            ("samples", f"{found.n_samples} in {found.n_rows} versions"),
            ("files", names),
            ("old commits", f"{found.n_commits} held them and keep a tombstone"),
        ]
    )
    branches = (
        (one.branch, one.n_samples, short(one.commit) if one.commit else "")
        for one in found.branches
    )
    named = ((one.table, one.n_of_images, one.n_of_commits) for one in found.named_by)
    return Group(
        head,
        Text(),
        table(("branch", "n samples", "new commit"), branches, empty="no branch held them"),
        Text(),
        table(
            ("also named in", "n the images", "n their commits"), named, empty="named nowhere else"
        ),
        *_left(found),
    )


def size(n_bytes: int) -> str:
    """Bytes for people.

    >>> size(999), size(1_500), size(2_345_678)
    ('999 B', '1.5 kB', '2.3 MB')
    """
    value, units = float(n_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def _disk(found: Collected) -> RenderableType:
    young = f"{found.n_young} files ({size(found.young_bytes)}), stored too lately to go"
    if found.is_dry_run:
        freed = f"{size(found.file_bytes)} of files, about {size(found.record_bytes)} of records"
        return facts([("would be freed", freed), ("not needed", young)])
    before, after = found.database_before_bytes, found.database_after_bytes
    freed = size(found.file_bytes + max(before - after, 0))
    database = f"{size(before)} before, {size(after)} after"
    return facts([("freed", freed), ("database", database), ("not needed", young)])


def _result(found: Verified) -> Text:
    if not found.flaws:
        return Text("whole", style="green")
    n_repaired = sum(one.is_repaired for one in found.flaws)
    told = f"{len(found.flaws)} damaged or missing, {n_repaired} repaired"
    return Text(told, style="yellow" if found.is_whole else "red")


def _state(flaw: Flaw) -> Text:
    return Text("repaired", style="green") if flaw.is_repaired else Text(flaw.state, style="red")


def _names(flaw: Flaw) -> str:
    return ", ".join(flaw.file_names)


def _left(found: Erased) -> list[RenderableType]:
    left: list[RenderableType] = []
    if found.n_linked:
        text = (
            f"{found.n_linked} images have another hard link, in a working copy or a training's "
            "folder: delete it there too"
        )
        left.append(Text(text, style="yellow"))
    if found.in_folders:
        shown = "\n  ".join(found.in_folders[:SHOWN_FLAWS])
        text = (
            f"{len(found.in_folders)} files in working copies stay; delete them there:\n  {shown}"
        )
        left.append(Text(text, style="yellow"))
    if found.in_sources:
        shown = "\n  ".join(found.in_sources[:SHOWN_FLAWS])
        n_files = len(found.in_sources)
        text = f"{n_files} files also lie in the folder they were imported from:\n  {shown}"
        left.append(Text(text))
    if found.copies:
        verb = "would go" if found.is_dry_run else "went"
        left.append(Text(f"copies of them also {verb}: {', '.join(found.copies)}"))
    if not found.is_log_empty:
        text = "somebody was reading the database all the time: run the same command again"
        left.append(Text(text, style="red"))
    if not found.is_dry_run:
        text = (
            "remotes, other clones, exports, backups and what models learned are not reached "
            "from here"
        )
        left.append(Text(text, style="dim"))
    return [Text(), *left] if left else []
