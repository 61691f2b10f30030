"""Whether a model may replace another: rules, and a verdict with a reason for each.

A rule passes, fails, or is **inconclusive**: the images are too few to tell. The verdict fails when
any rule fails, else is inconclusive when any is, else passes. A model without a champion to beat is
judged on the absolute rules alone.

| rule | asks | judged against a champion | without one |
|---|---|---|---|
| `minimum` | AP50 reaches `min_ap50` | - | yes |
| `overall` | AP50 on all images drops by at most `max_drop` | yes | - |
| `protected:S` | AP50 on stratum S drops by at most its tolerance | yes | - |
| `better_on:S` | AP50 on stratum S has risen, for certain | yes | - |
| `parity` | the exported file answers as its checkpoint | yes | yes |
| `latency` | median time per image is at most so many times the champion's | yes | - |
| `latency_ms` | median time per image is at most so many milliseconds | yes | yes |

*Not worse* passes when the measured drop is within the tolerance; it fails when the drop exceeds
the tolerance and the whole 95 % interval of the change lies below zero; otherwise it is
inconclusive. *Better* passes when the whole interval lies above zero, fails when nothing was
gained, and is inconclusive in between. Either is inconclusive on fewer than `min_images` images or
`min_objects` objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from sightloop.evaluation.bootstrap import N_REPLICATES, Gain, ap50, paired_gain
from sightloop.evaluation.parity import ParityResult
from sightloop.evaluation.values import ImageAnswer, LatencyComparison

RuleOutcome = Literal["pass", "fail", "inconclusive"]
Share = Annotated[float, Meta(ge=0, le=1)]

MIN_TIMED_IMAGES = 20
_SEED = 0


class GateRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model must fulfil. Precisions, drops and agreements are shares, 0 to 1."""

    min_ap50: Share = 0.3
    """For a model without a champion to beat."""
    max_drop: Share = 0.02
    """How much AP50 on all images may fall below the champion's."""
    protected: dict[str, Share] = {}
    """By stratum (`field=value`), how much AP50 may fall there."""
    better_on: list[str] = []
    """Strata on which AP50 must rise: what the new model is for."""
    min_parity: Share | None = 0.99
    """Least agreement of the exported file with its checkpoint; None does not ask."""
    max_latency_ratio: Annotated[float, Meta(gt=0)] | None = 1.25
    """Most time per image, relative to the champion in the same run; None does not ask."""
    max_latency_ms: Annotated[float, Meta(gt=0)] | None = None
    """Most time per image, in milliseconds; None does not ask."""
    min_images: Annotated[int, Meta(ge=1)] = 30
    min_objects: Annotated[int, Meta(ge=1)] = 30
    n_replicates: Annotated[int, Meta(ge=100, le=100_000)] = N_REPLICATES
    """Bootstrap draws behind every interval."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A model before the gate, by the answers it gave."""

    name: str
    """As people write it: `pcb@3`."""
    answers: Sequence[ImageAnswer]


class RuleVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says, with the number it looked at and the bound it has."""

    rule: str
    outcome: RuleOutcome
    reason: str
    value: float | None
    """None where nothing could be measured."""
    bound: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate says."""

    outcome: RuleOutcome
    rules: list[RuleVerdict]


def judge(
    rules: GateRules,
    *,
    candidate: Judged,
    champion: Judged | None,
    parity: ParityResult | None,
    latency: LatencyComparison | None,
) -> Verdict:
    """The verdict on the candidate; equal arguments always give an equal one.

    Args:
        rules: what is asked.
        candidate: the model that may be released.
        champion: the model it would replace, by its answers to the same images; None for the first.
        parity: how the exported file compares with its checkpoint; None if it was not looked at.
        latency: medians of one run with both models; None if it was not measured.

    Raises:
        ImagesDiffer: the two did not answer the same images.
    """
    judged: list[RuleVerdict] = []
    if champion is None:
        judged.append(_judge_minimum(rules, candidate))
    else:
        judged.extend(_judge_against(rules, candidate, champion))
    if rules.min_parity is not None:
        judged.append(_judge_parity(rules.min_parity, parity))
    judged.extend(_judge_latency(rules, latency, has_champion=champion is not None))
    outcomes = {one.outcome for one in judged}
    for outcome in ("fail", "inconclusive"):
        if outcome in outcomes:
            return Verdict(outcome=outcome, rules=judged)
    return Verdict(outcome="pass", rules=judged)


class _Scope(NamedTuple):
    """The images one rule looks at."""

    rule: str
    stratum: str
    bound: float


def _judge_minimum(rules: GateRules, candidate: Judged) -> RuleVerdict:
    scope = _Scope("minimum", "", rules.min_ap50)
    if few := _too_few(rules, scope, candidate.answers):
        return few
    value = ap50(candidate.answers)
    assert value is not None, "there are objects, so there is an AP50"
    reached = value >= scope.bound
    return RuleVerdict(
        rule=scope.rule,
        outcome="pass" if reached else "fail",
        reason=f"On {_where(scope, candidate.answers)} AP50 is {value:.3f}, "
        f"{'at or above' if reached else 'below'} the {scope.bound:.3f} that is asked.",
        value=value,
        bound=scope.bound,
    )


def _judge_against(rules: GateRules, candidate: Judged, champion: Judged) -> Iterator[RuleVerdict]:
    not_worse = [_Scope("overall", "", rules.max_drop)]
    not_worse += [_Scope(f"protected:{s}", s, drop) for s, drop in sorted(rules.protected.items())]
    for scope in not_worse:
        yield _judge_change(rules, scope, candidate, champion, judge_gain=_judge_not_worse)
    for stratum in rules.better_on:
        scope = _Scope(f"better_on:{stratum}", stratum, 0.0)
        yield _judge_change(rules, scope, candidate, champion, judge_gain=_judge_better)


def _judge_change(
    rules: GateRules,
    scope: _Scope,
    candidate: Judged,
    champion: Judged,
    *,
    judge_gain: Callable[[_Scope, Gain, str], RuleVerdict],
) -> RuleVerdict:
    before, after = (
        [answer for answer in model.answers if scope.stratum in answer.strata]
        for model in (champion, candidate)
    )
    if few := _too_few(rules, scope, after):
        return few
    gain = paired_gain(before, after, n_replicates=rules.n_replicates, seed=_SEED)
    told = f"On {_where(scope, after)} AP50 went from {gain.first:.3f} ({champion.name}) to "
    told += f"{gain.second:.3f} ({candidate.name})"
    return judge_gain(scope, gain, told)


def _judge_not_worse(scope: _Scope, gain: Gain, told: str) -> RuleVerdict:
    drop = max(-gain.gain, 0.0)
    change = f"a drop of {drop:.3f}" if gain.gain < 0 else f"a gain of {gain.gain:.3f}"
    interval = f"the 95 % interval of the change, {gain.low:+.3f} to {gain.high:+.3f},"
    outcome: RuleOutcome
    if drop <= scope.bound:
        outcome, why = "pass", f"a drop of up to {scope.bound:.3f} is allowed"
    elif gain.high < 0:
        outcome, why = "fail", f"more than the {scope.bound:.3f} allowed, and {interval} is below 0"
    else:
        outcome = "inconclusive"
        why = f"more than the {scope.bound:.3f} allowed, but {interval} reaches 0, so it may be "
        why += "chance; evaluate on more images"
    return RuleVerdict(
        rule=scope.rule,
        outcome=outcome,
        reason=f"{told}, {change}; {why}.",
        value=0.0 - gain.gain,  # not -gain, which makes -0.0 of no change
        bound=scope.bound,
    )


def _judge_better(scope: _Scope, gain: Gain, told: str) -> RuleVerdict:
    interval = f"the 95 % interval of the change is {gain.low:+.3f} to {gain.high:+.3f}"
    outcome: RuleOutcome
    if gain.low > 0:
        outcome, why = "pass", f"a gain of {gain.gain:.3f}; {interval}, above 0"
    elif gain.gain <= 0:
        outcome, why = "fail", f"which is no gain; {interval}"
    else:
        outcome = "inconclusive"
        why = f"a gain of {gain.gain:.3f}; {interval} and reaches 0, so it may be chance; "
        why += "evaluate on more images"
    return RuleVerdict(
        rule=scope.rule,
        outcome=outcome,
        reason=f"{told}, {why}.",
        value=gain.gain,
        bound=scope.bound,
    )


def _judge_parity(bound: float, parity: ParityResult | None) -> RuleVerdict:
    agreement = None if parity is None else parity.agreement
    outcome: RuleOutcome
    if parity is None:
        outcome, reason = "inconclusive", "The exported file was not compared with its checkpoint."
    elif agreement is None:
        outcome = "inconclusive"
        reason = "Neither the exported file nor its checkpoint found anything to compare in "
        reason += f"{parity.n_images} images."
    else:
        outcome = "pass" if agreement >= bound else "fail"
        reason = (
            f"The exported file and its checkpoint agree on {agreement:.1%} of "
            f"{parity.n_compared} detections in {parity.n_images} images (corners within "
            f"{parity.worst_box_px:.2f} px, scores within {parity.worst_score:.4f}); "
            f"at least {bound:.1%} is asked."
        )
    return RuleVerdict(rule="parity", outcome=outcome, reason=reason, value=agreement, bound=bound)


def _judge_latency(
    rules: GateRules, latency: LatencyComparison | None, *, has_champion: bool
) -> Iterator[RuleVerdict]:
    if rules.max_latency_ratio is not None and has_champion:
        yield _judge_ratio(rules.max_latency_ratio, latency)
    if rules.max_latency_ms is not None:
        yield _judge_milliseconds(rules.max_latency_ms, latency)


def _judge_ratio(bound: float, latency: LatencyComparison | None) -> RuleVerdict:
    if latency is None or not latency.champion_p50_ms:
        return _not_timed("latency", bound, latency)
    ratio = latency.candidate_p50_ms / latency.champion_p50_ms
    told = (
        f"An image takes {latency.candidate_p50_ms:.1f} ms, {ratio:.2f} times the champion's "
        f"{latency.champion_p50_ms:.1f} ms (medians of {latency.n_images} images, decoding "
        f"included); at most {bound:.2f} times is allowed."
    )
    return _timed("latency", ratio, bound, told, latency)


def _judge_milliseconds(bound: float, latency: LatencyComparison | None) -> RuleVerdict:
    if latency is None:
        return _not_timed("latency_ms", bound, latency)
    told = (
        f"An image takes {latency.candidate_p50_ms:.1f} ms (median of {latency.n_images} images, "
        f"decoding included); at most {bound:.1f} ms is allowed."
    )
    return _timed("latency_ms", latency.candidate_p50_ms, bound, told, latency)


def _timed(
    rule: str, value: float, bound: float, told: str, latency: LatencyComparison
) -> RuleVerdict:
    outcome: RuleOutcome = "pass" if value <= bound else "fail"
    if latency.n_images < MIN_TIMED_IMAGES:
        outcome = "inconclusive"
        told += f" Fewer than {MIN_TIMED_IMAGES} images are too few to tell."
    return RuleVerdict(rule=rule, outcome=outcome, reason=told, value=value, bound=bound)


def _not_timed(rule: str, bound: float, latency: LatencyComparison | None) -> RuleVerdict:
    what = "The time per image" if latency is None else "The champion's time per image"
    reason = f"{what} was not measured."
    return RuleVerdict(rule=rule, outcome="inconclusive", reason=reason, value=None, bound=bound)


def _too_few(rules: GateRules, scope: _Scope, answers: Sequence[ImageAnswer]) -> RuleVerdict | None:
    n_images, n_objects = len(answers), _n_objects(answers)
    if n_images >= rules.min_images and n_objects >= rules.min_objects:
        return None
    return RuleVerdict(
        rule=scope.rule,
        outcome="inconclusive",
        reason=f"There are only {_where(scope, answers)} to go by; the rule needs "
        f"{rules.min_images} images with {rules.min_objects} objects, so label more.",
        value=None,
        bound=scope.bound,
    )


def _where(scope: _Scope, answers: Sequence[ImageAnswer]) -> str:
    of_stratum = f" of {scope.stratum}" if scope.stratum else ""
    return f"{len(answers)} images{of_stratum} with {_n_objects(answers)} objects"


def _n_objects(answers: Sequence[ImageAnswer]) -> int:
    return sum(len(answer.truths) for answer in answers)
