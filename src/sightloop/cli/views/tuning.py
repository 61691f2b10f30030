"""What tuning a device found, in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import table
from sightloop.contracts.builds import BuildReport
from sightloop.device.tune import TuneResult

_COLUMNS = ("", "runtime", "precision", "# threads", "# p50 ms", "# p99 ms", "# MB", "standing")


def tuned(found: TuneResult) -> RenderableType:
    """Every candidate, fastest first, and what becomes of it."""
    drawn = table(_COLUMNS, (_row(one) for one in found.candidates), empty="nothing to measure")
    what = f"{found.model} {found.version}"
    if found.choice is None:
        words = f"nothing that is gated could be measured; {what} runs as it was released"
    else:
        key, n = found.choice.key, found.choice.threads
        words = f"{what} runs on {key.runtime} {key.precision} with {n} thread(s) from the next "
        words += "start of its worker"
    return Group(drawn, Text(words, style="dim"))


def _row(one: BuildReport) -> tuple[object, ...]:
    if one.problem:
        figures: tuple[object, ...] = ("-", "-", "-")
    else:
        figures = (f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}", one.resident_bytes >> 20)
    mark = Text("*", style="green") if one.is_chosen else Text("")
    return (mark, one.runtime, one.precision, one.threads, *figures, _standing(one))


def _standing(one: BuildReport) -> Text:
    if one.problem:
        return Text(one.problem, style="red")
    if one.golden_problem:
        return Text(one.golden_problem, style="red")
    if not one.is_gated:
        return Text("candidate: reported, not used", style="yellow")
    return Text("gated", style="green")
