"""The page `docs/results/datasets.md`, made of results alone: a second writing is the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.data.checks import CHECKS, DVC, INSIDE, OURS, OXEN, Check, SizeLine, sizes_of
from bench.data.measure import Cost
from bench.data.remotes import COUNTED
from bench.data.results import Results

_UNKNOWN = "-"


def write(results: Results) -> str:
    """The whole page, in Markdown."""
    machine = results.machine
    measured = ", ".join(machine.get(one, "") for one in ("hardware", "system"))
    sections = [
        _TITLE,
        f"{machine.get('date', '')}, `make bench-data`. {measured}. {machine.get('versions', '')}.",
        _HOW,
        "## The bars",
        _table(_BARS, (_check_cells(check, results) for check in CHECKS)),
        *_remote_section(results),
        *_size_section(results),
        "## Everything that was measured",
        _COLUMNS + _when(results),
        _table(_COSTS, _cost_cells(results)),
        *_failures(results),
        "## What was run",
        _WHAT,
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table below its two lines of heading."""
    return "\n".join([head.strip(), *("| " + " | ".join(cells) + " |" for cells in rows)])


def _check_cells(check: Check, results: Results) -> list[str]:
    costs = {who: results.cost(check.number, who) for who in (OURS, INSIDE, DVC, OXEN)}
    shown = [_shown(check, cost, results, who) for who, cost in costs.items()]
    met = check.is_met(results)
    word = {True: "yes", False: "**no**", None: "not measured" if check.bar else ""}[met]
    if met is not None and check.judged == INSIDE:
        word += ", the work itself"
    ratio = _ratio(costs) if check.unit == "s" else ""
    return [check.title, check.bar, *shown, ratio, word]


def _shown(check: Check, cost: Cost | None, results: Results, who: str) -> str:
    """What the bar is about: seconds, unless the check names something else."""
    if check.unit == "s":
        return _seconds(cost)
    if check.unit == "MB":
        return _UNKNOWN if cost is None else f"{cost.peak_mb:.0f} MB"
    count = results.facts().get(f"{check.number}: {check.unit}, {who}")
    return _UNKNOWN if count is None else f"{count:,.0f} {check.unit.split()[0]}"


def _ratio(costs: dict[str, Cost | None]) -> str:
    """How many times as long DVC takes as our command (of which there may be only the work)."""
    ours, theirs = costs[OURS] or costs[INSIDE], costs[DVC]
    return _UNKNOWN if ours is None or theirs is None else f"{theirs.wall_s / ours.wall_s:.1f}"


def _seconds(cost: Cost | None) -> str:
    if cost is None:
        return _UNKNOWN
    return f"{cost.wall_s:.1f} s" if cost.wall_s >= 10 else f"{cost.wall_s:.2f} s"


def _cost_cells(results: Results) -> Iterator[list[str]]:
    for (number, who), costs in results.costs().items():
        middle = results.cost(number, who)
        assert middle is not None, "there is at least one"
        walls = [one.wall_s for one in costs]
        spread = f" ({min(walls):.3f} to {max(walls):.3f})" if len(walls) > 1 else ""
        yield [
            number,
            who,
            str(len(costs)),
            f"{middle.wall_s:.3f}{spread}",
            f"{middle.cpu_s:.3f}",
            f"{middle.peak_mb:.0f}",
            _UNKNOWN if middle.written_mb is None else f"{middle.written_mb:.2f}",
        ]


def _remote_section(results: Results) -> Iterator[str]:
    facts = results.facts()
    if "set bytes" not in facts:
        return
    yield "## Over S3"
    yield _S3.format(files=facts["set files"], size=facts["set bytes"])
    steps = [(number, who) for number in ("push", "partial pull") for who in (OURS, DVC)]
    yield _table(_S3_TABLE, (_remote_cells(results, *step) for step in steps))


def _remote_cells(results: Results, number: str, who: str) -> list[str]:
    facts = results.facts()
    counts = [facts.get(f"{number}: {what}, {who}") for what in COUNTED]
    shown = [_UNKNOWN if one is None else f"{one:,.0f}" for one in counts]
    return [f"{number}, {who}", *shown, _seconds(results.cost(number, who))]


def _size_section(results: Results) -> Iterator[str]:
    lines = sizes_of(results)
    if not lines:
        return
    sizes = [n for n, _ in lines[0].costs]
    head = "| | " + " | ".join(f"{n:,}" for n in sizes) + " |\n|---|" + "---:|" * len(sizes)
    yield "## Growing to a million samples"
    yield _SIZES
    yield _table(head, (_size_cells(line) for line in lines))


def _size_cells(line: SizeLine) -> list[str]:
    shown = [
        f"{one.wall_s:.2f} s, {one.cpu_s:.2f} s, {one.peak_mb:.0f} MB" for _, one in line.costs
    ]
    return [line.step.removesuffix(" of").removesuffix(" in"), *shown]


def _when(results: Results) -> str:
    """From which time the figures are: what was finished in an earlier run is not played again."""
    ends = sorted(one.ended_at for one in results.played.values() if one.ended_at)
    return f"Scenarios ended between {ends[0]} and {ends[-1]} UTC.\n" if ends else ""


def _failures(results: Results) -> Iterator[str]:
    for name, one in results.played.items():
        if one.failure:
            yield f"`{name}` did not come to its end; `--only {name}` says why."


_TITLE = "# Datasets, beside DVC and Oxen"

_HOW = """
All tools work on equal files in folders of their own, one after the other in each round, on warm
caches; what is left to be written is written (`sync`) before a clock starts. **Sightloop** and
**DVC** are whole commands as a person types them, loading Python included. **In Python** is the
operation alone through `sightloop.open`, in a process that has loaded everything; **Oxen** is
measured in the same way, because its package on PyPI has no command line. Where a bar can only mean
the work itself, the last column says so. Git's part in a DVC commit or checkout is not counted.
Sightloop makes images durable (`syncfs`) before it commits; neither of the others does. On a file
system mounted with `discard`, every file that is replaced or removed can cost a millisecond more,
whoever does it.
"""

_BARS = """
| number | bar | Sightloop | in Python | DVC | Oxen | DVC ÷ ours | met |
|---|---|---:|---:|---:|---:|---:|---|
"""

_COSTS = """
| what | who | n | wall (s) | processor (s) | memory (MB) | written (MB) |
|---|---|---:|---:|---:|---:|---:|
"""

_COLUMNS = """
Medians of n repetitions; in brackets the fastest and the slowest. *Processor* is user and system
time of the whole process tree, *memory* its peak, *written* what it caused to be written to the
file system, in pages.
"""

_S3 = """
A COCO folder of {files:,.0f} images of 10 KB with three boxes each, {size:,.0f} bytes in all; DVC
has the images alone. The moto server on the same two cores counts what it is sent and what it
sends. The partial pull is a fresh clone with all labels and the images of one class, which is on
one of a hundred; DVC, which knows no classes, is given the names of the same images.
"""

_S3_TABLE = """
| | requests | bytes sent | bytes received | wall |
|---|---:|---:|---:|---:|
"""

_SIZES = """
A COCO folder with one box on each image of 65 bytes. Each cell: wall time, processor time, peak
memory. Import, status, diff and checkout are whole commands; the commit of 100 moved boxes is the
work itself. The sparse checkout asks for a class that is on one image of a hundred, and makes the
index that the first question about a commit needs.
"""

_WHAT = """
| what | Sightloop | DVC | Oxen |
|---|---|---|---|
| import | `data import data` | `dvc add data` | `add`, `commit` |
| status | `data status data`; `ds.status` | `dvc status` | `status` |
| add | `data commit data -m more`; `ds.commit` | `dvc add data` | `add`, `commit` |
| labels rows | `data.commit` of 100 rows | | |
| labels files | `data commit labelled`, a file for each image | `dvc add labels`, the same | |
| labels one file | | `dvc add coco`, one `annotations.json` | `add`, `commit`, the same |
| boxes | `diff_commits`, `merge_branch` (`bench/merge_boxes.py`; best of 5) | | |
| switch | `data checkout BRANCH data`; `ds.checkout` | `dvc checkout` after `git checkout` | \
`checkout` |
| diff | `data diff before after`; `ds.diff` | `dvc diff before after` | `diff` of the tree, which \
the package computes and cannot show |
| push, partial pull | `data push`; `data clone --class` | `dvc push`; `dvc pull FILE ...` | |
| copy, hash | `cp -r`; `sha256sum` in two processes | | |

Commands of Sightloop begin with `sightloop` and have `--json`; `bench/data/` has them all.
"""
