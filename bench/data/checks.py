"""The numbers that the issue asks for: what is held against which bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bench.data.measure import Cost
from bench.data.results import Results
from bench.data.scenarios import MACHINE

OURS, INSIDE, DVC, OXEN = "Sightloop", "Sightloop in Python", "DVC", "Oxen"
Rule = Callable[[Results], bool | None]
"""Whether a bar is met; None when what it needs was not measured."""


class Check(NamedTuple):
    """One number of the issue."""

    title: str
    bar: str
    number: str
    """What was measured for it."""
    is_met: Rule
    judged: str = OURS
    """Whose time is held against the bar."""
    unit: str = "s"
    """What is shown: seconds, `MB` of memory, or something counted."""


class SizeLine(NamedTuple):
    """One step and what it cost at each size."""

    step: str
    costs: list[tuple[int, Cost]]


def sizes_of(results: Results) -> list[SizeLine]:
    """The steps that were played at several sizes."""
    lines: dict[str, list[tuple[int, Cost]]] = {}
    for number, who in results.costs():
        step, _, n = number.rpartition(" ")
        if n.isdecimal():
            cost = results.cost(number, who)
            assert cost is not None, "it was listed"
            lines.setdefault(step, []).append((int(n), cost))
    return [SizeLine(step, costs) for step, costs in lines.items()]


def _unjudged(results: Results) -> None:
    """The issue sets no bar."""


def _below_s(number: str, limit_s: float, who: str = OURS) -> Rule:
    def is_met(results: Results) -> bool | None:
        cost = results.cost(number, who)
        return None if cost is None else cost.wall_s <= limit_s

    return is_met


def _below_mb(number: str, limit_mb: float) -> Rule:
    def is_met(results: Results) -> bool | None:
        cost = results.cost(number, OURS)
        return None if cost is None else cost.peak_mb < limit_mb

    return is_met


def _times(number: str, other: str, who: str, factor: float, *, other_number: str = "") -> Rule:
    """Whether the other one takes at least `factor` times as long as we do."""

    def is_met(results: Results) -> bool | None:
        ours, theirs = results.cost(number, who), results.cost(other_number or number, other)
        return None if ours is None or theirs is None else theirs.wall_s >= factor * ours.wall_s

    return is_met


def _all(*rules: Rule) -> Rule:
    def is_met(results: Results) -> bool | None:
        answers = [rule(results) for rule in rules]
        return False if False in answers else None if None in answers else True

    return is_met


def _is_linear(results: Results) -> bool | None:
    """Whether a sample costs at most a quarter more in the large import than in the small one."""
    small, large = results.cost("import small", OURS), results.cost("import large", OURS)
    return None if small is None or large is None else large.cpu_s <= 1.25 * 10 * small.cpu_s


def _grows_linearly(results: Results) -> bool | None:
    """Whether no step's processor time or memory grows faster than tenfold (and a quarter)."""
    lines = [line for line in sizes_of(results) if len(line.costs) > 1]
    if not lines:
        return None
    return all(
        later.cpu_s <= 1.25 * step * max(earlier.cpu_s, _START_S)
        and later.peak_mb <= 1.25 * step * earlier.peak_mb
        for line in lines
        for (n, earlier), (m, later) in zip(line.costs, line.costs[1:], strict=False)
        for step in [m / n]
    )


def _share(what: str, whole: str, limit: float) -> Rule:
    def is_met(results: Results) -> bool | None:
        facts = results.facts()
        if what not in facts or whole not in facts:
            return None
        return facts[what] < limit * facts[whole]

    return is_met


_START_S = 1.0
"""Below a second of processor time, loading Python is most of it: growth cannot be seen."""

CHECKS = [
    Check("first import + commit, 10,000 × 50 KB", "≤ 3.5 s", "import small",
          _below_s("import small", 3.5)),
    Check("the same against `cp -r`", "≤ 1.5 × the copy", "import small",
          _times("import small", MACHINE, OURS, 1 / 1.5, other_number="copy small")),
    Check("its memory", "< 300 MB", "import small", _below_mb("import small", 300),
          unit="MB"),
    Check("first import + commit, 100,000 × 10 KB", "ahead of DVC and Oxen", "import large",
          _all(_times("import large", DVC, OURS, 1), _times("import large", OXEN, OURS, 1))),
    Check("the same against ten times the small one", "linear", "import large", _is_linear),
    Check("status, unchanged, 10,000 files", "≤ 0.1 s", "status small",
          _below_s("status small", 0.1, INSIDE), INSIDE),
    Check("status, unchanged, 100,000 files", "≤ 1 s", "status large",
          _below_s("status large", 1.0)),
    Check("commit after 10 new files", "≤ 0.15 s", "add small",
          _below_s("add small", 0.15, INSIDE), INSIDE),
    Check("commit of 100 changed labels among 100,000 samples", "≤ 0.3 s", "labels rows",
          _below_s("labels rows", 0.3, INSIDE), INSIDE),
    Check("the same as files of a working copy", "", "labels files", _unjudged),
    Check("the same as one COCO file of a repository", "", "labels one file", _unjudged),
    Check("switch, 1 % of 100,000 files differ", "≥ 10 × faster than `dvc checkout`",
          "switch large", _times("switch large", DVC, OURS, 10)),
    Check("diff of those two commits", "", "diff large", _unjudged),
    Check("diff of 1,000,000 boxes, 1,000 edits on each side", "≤ 1 s", "diff boxes",
          _below_s("diff boxes", 1.0, INSIDE), INSIDE),
    Check("three-way merge of them, every planted conflict found", "≤ 1 s", "merge boxes",
          _below_s("merge boxes", 1.0, INSIDE), INSIDE),
    Check("push of 10,000 × 10 KB: requests", "< 1 % of the files", "push",
          _share("push: requests, Sightloop", "set files", 0.01), unit="requests"),
    Check("partial pull of 1 %: bytes", "< 3 % of the set", "partial pull",
          _share("partial pull: bytes out, Sightloop", "set bytes", 0.03), unit="bytes out"),
    Check("10,000, 100,000, 1,000,000 samples", "no worse than linear", "",
          _grows_linearly),
]  # fmt: skip
