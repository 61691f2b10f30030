"""Sweeps in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, state, table, when
from sightloop.training.sweeps.results import SweepFacts, SweepLine
from sightloop.training.sweeps.services import BestTrials, SweepList
from sightloop.training.sweeps.spec import SweepSpec
from sightloop.training.sweeps.values import ENDED, Sweep, Trial

SHOWN_TRIALS = 50


def started(sweep: Sweep) -> RenderableType:
    """A sweep that has begun, or goes on."""
    text = f"{sweep.id} is {sweep.state}: {sweep.n_trials} trials, {sweep.spec.parallel} at a time"
    return Text(f"{text}\na worker makes them, or here: sightloop sweep run {sweep.id}")


def sweeps(found: SweepList) -> RenderableType:
    """Some sweeps, newest first."""
    rows = (
        (
            one.sweep.id,
            one.sweep.spec.name,
            state(one.sweep.state),
            f"{_n_ended(one)} of {one.sweep.n_trials}",
            when(one.sweep.created_at_ms),
        )
        for one in found.sweeps
    )
    columns = ("sweep", "name", "state", "trials ended", "began")
    return table(columns, rows, empty="no sweep yet; `sightloop sweep start sweep.yaml` makes one")


def _n_ended(line: SweepLine) -> int:
    return sum(line.counts.get(one, 0) for one in ENDED)


def sweep(found: SweepFacts) -> RenderableType:
    """One sweep: how it stands, what is best, what matters, its newest trials."""
    one = found.sweep
    counted = {name: sum(t.state == name for t in found.trials) for name in _STATES}
    head = facts(
        [
            ("sweep", one.id),
            ("name", one.spec.name),
            ("state", state(one.state)),
            *([("because", one.ended_because)] if one.ended_because else []),
            ("trials", f"{len(found.trials)} of {one.n_trials}: {_words(counted)}"),
            ("runs", f"{one.id}_0 and so on, one for each trial"),
            ("data", one.dataset_commit),
            ("ran for", f"{found.ran_s:.0f} s"),
        ]
    )
    best_ones = [found.trials[number] for number in found.best]
    newest = found.trials[-SHOWN_TRIALS:]
    return Group(
        head,
        Text(),
        Text("best", style="bold"),
        _trials(one.spec, best_ones, empty="none is complete yet"),
        *_importances(found),
        Text(),
        Text(f"newest {len(newest)} of {len(found.trials)} trials", style="bold"),
        _trials(one.spec, newest, empty="none was begun yet"),
    )


def best(found: BestTrials) -> RenderableType:
    """The best trials and their settings."""
    return _trials(found.sweep.spec, found.trials, empty="")


_STATES = ("complete", "pruned", "failed", "stopped", "running", "waiting")


def _words(counted: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counted.items() if n) or "none yet"


def _trials(spec: SweepSpec, trials: list[Trial], *, empty: str) -> RenderableType:
    names = [one.metric for one in spec.objectives]
    rows = (
        (
            trial.number,
            state(trial.state),
            *(f"{value:.5g}" for value in trial.objectives or []),
            *("-" for _ in (names if trial.objectives is None else [])),
            f"{_settings(trial)}{_because(trial)}",
        )
        for trial in trials
    )
    return table(("# trial", "state", *names, "settings"), rows, empty=empty)


def _settings(trial: Trial) -> str:
    shown = (
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in (trial.values or {}).items()
    )
    return " ".join(shown)


def _because(trial: Trial) -> str:
    return f"\n{trial.reason}" if trial.reason else ""


def _importances(found: SweepFacts) -> list[RenderableType]:
    drawn: list[RenderableType] = []
    for one in found.objectives:
        if one.importances:
            rows = ((each.name, f"{each.share:.0%}") for each in one.importances)
            drawn += [Text(), table((f"matters for {one.metric}", "share"), rows, empty="")]
    return drawn
