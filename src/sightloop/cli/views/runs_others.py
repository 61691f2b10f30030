"""Imported and exported runs in a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table
from sightloop.tracking.exporting import ExportedRuns
from sightloop.tracking.importing.account import ImportedRuns

SHOWN_RUNS = 30
SHOWN_PROBLEMS = 30


def imported(found: ImportedRuns) -> RenderableType:
    """What was added to which run, and all that was not."""
    parts: list[RenderableType] = [
        table(
            ("run", "experiment", "name", "", "# points", "# known", "# files", "# known"),
            (
                (
                    one.run,
                    one.experiment,
                    one.name,
                    "new" if one.is_new else "known",
                    f"{one.n_points:,}",
                    f"{one.n_points_known:,}",
                    one.n_artifacts,
                    one.n_artifacts_known,
                )
                for one in found.runs[:SHOWN_RUNS]
            ),
            empty="no run",
        ),
        *_more(len(found.runs) - SHOWN_RUNS),
        facts(
            [
                ("read as", found.format),
                ("runs", f"{len(found.runs):,}, {sum(one.is_new for one in found.runs):,} new"),
                ("points added", f"{found.n_points:,}"),
                ("files added", f"{sum(one.n_artifacts for one in found.runs):,}"),
            ]
        ),
    ]
    if found.skipped:
        rows = ((one.source, one.what, f"{one.n:,}", one.why) for one in found.skipped)
        shown = list(rows)[:SHOWN_PROBLEMS]
        parts += [Text(), table(("left out of", "what", "n ", "because"), shown, empty="")]
        parts += _more(len(found.skipped) - SHOWN_PROBLEMS)
    if found.flaws:
        shown_flaws = [(one.file, one.offset, one.problem) for one in found.flaws[:SHOWN_PROBLEMS]]
        parts += [Text(), table(("flaw in", "at byte", "what"), shown_flaws, empty="")]
        parts += _more(len(found.flaws) - SHOWN_PROBLEMS)
    return Group(*parts)


def exported(found: ExportedRuns) -> RenderableType:
    """Where each run was written, and how many files of it are no images and so stay here."""
    shown = table(
        ("run", "# points", "# images", "# histograms", "# other files", "folder"),
        (
            (
                one.run,
                f"{one.n_points:,}",
                one.n_images,
                one.n_histograms,
                one.n_left_out,
                str(Path(one.file).parent),
            )
            for one in found.runs
        ),
        empty="no run",
    )
    if not any(one.n_left_out for one in found.runs):
        return shown
    words = "other files have no place in TensorBoard; `sightloop runs show RUN` lists them"
    return Group(shown, Text(words, style="dim"))


def _more(n: int) -> list[RenderableType]:
    return [Text(f"and {n:,} more; --json lists all", style="dim")] if n > 0 else []
