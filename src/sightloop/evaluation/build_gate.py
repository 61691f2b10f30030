"""Whether another way to run an exported file may replace the one that was judged. Pure.

The file in ONNX Runtime with fp32 passed its gate. A **build** of it (another runtime, or eight
bits) is held to what that found on the same images:

| rule | asks |
|---|---|
| `loss` | the whole 95 % interval of the change of AP50 lies above minus `max_loss` |
| `agreement` | the build finds the same objects, with scores and shapes within parity's tolerance |
| `devices` | devices that measured it see what the golden images promise |

`loss` fails when the measured loss exceeds `max_loss`, and is inconclusive when only the interval
reaches beyond it, or on too few images. A device's word is needed where the host that judges has
no such runtime: the same file is then judged in ONNX Runtime, and devices answer for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.contracts.bundle import Precision
from sightloop.evaluation.bootstrap import N_REPLICATES, paired_gain
from sightloop.evaluation.gate import RuleOutcome, RuleVerdict, Share, Verdict
from sightloop.evaluation.parity import ParityResult
from sightloop.evaluation.values import ImageAnswer

_SEED = 0


class BuildRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a build must fulfil. Losses and agreements are shares, 0 to 1."""

    max_loss: Share = 0.02
    """How much AP50 it may lose to the released file, for certain."""
    min_agreement: Share = 0.99
    """Least share of detections that both find alike, of a build with fp32."""
    min_agreement_int8: Share = 0.7
    """The same of eight bits, which move scores: 0.75 and 0.83 were measured where AP50 was equal
    (docs/results/runtimes.md)."""
    min_images: Annotated[int, Meta(ge=1)] = 30
    min_objects: Annotated[int, Meta(ge=1)] = 30
    n_replicates: Annotated[int, Meta(ge=100, le=100_000)] = N_REPLICATES
    """Bootstrap draws behind the interval."""


class DeviceWord(msgspec.Struct, frozen=True, kw_only=True):
    """What a device reported of the build."""

    device: str
    problem: str
    """Why it could not run it, or what it saw instead of what the golden images promise."""


def judge_build(
    rules: BuildRules,
    *,
    precision: Precision,
    released: Sequence[ImageAnswer],
    built: Sequence[ImageAnswer],
    agreement: ParityResult,
    devices: Sequence[DeviceWord],
    needs_devices: bool,
) -> Verdict:
    """The verdict on the build; equal arguments always give an equal one.

    Args:
        rules: what is asked.
        precision: of the build.
        released: what the exported file answers in ONNX Runtime with fp32.
        built: what the build answers to the same images, in the same order.
        agreement: detection by detection, on some of the images.
        devices: every device of the class that measured this very build.
        needs_devices: the host that judges has no such runtime.

    Raises:
        ImagesDiffer: the two did not answer the same images.
    """
    judged = [
        _judge_loss(rules, released, built),
        _judge_agreement(
            rules.min_agreement_int8 if precision == "int8" else rules.min_agreement, agreement
        ),
    ]
    if devices or needs_devices:
        judged.append(_judge_devices(devices))
    outcomes = {one.outcome for one in judged}
    outcome: RuleOutcome = "pass"
    if "fail" in outcomes:
        outcome = "fail"
    elif "inconclusive" in outcomes:
        outcome = "inconclusive"
    return Verdict(outcome=outcome, rules=judged)


def _judge_loss(
    rules: BuildRules, released: Sequence[ImageAnswer], built: Sequence[ImageAnswer]
) -> RuleVerdict:
    n_images, n_objects = len(built), sum(len(one.truths) for one in built)
    bound, where = rules.max_loss, f"{n_images} images with {n_objects} objects"
    if n_images < rules.min_images or n_objects < rules.min_objects:
        reason = f"There are only {where} to go by; the rule needs {rules.min_images} images "
        reason += f"with {rules.min_objects} objects, so label more."
        return RuleVerdict(
            rule="loss", outcome="inconclusive", reason=reason, value=None, bound=bound
        )
    gain = paired_gain(released, built, n_replicates=rules.n_replicates, seed=_SEED)
    told = f"On {where} AP50 is {gain.second:.3f}, that of the released file is {gain.first:.3f}; "
    told += f"the 95 % interval of the change is {gain.low:+.3f} to {gain.high:+.3f}"
    outcome: RuleOutcome
    if -gain.gain > bound:
        outcome, why = "fail", f"which is more than the {bound:.3f} that it may lose"
    elif gain.low < -bound:
        outcome = "inconclusive"
        why = f"which reaches beyond the {bound:.3f} that it may lose; evaluate on more images"
    else:
        outcome, why = "pass", f"all of it within the {bound:.3f} that it may lose"
    return RuleVerdict(
        rule="loss", outcome=outcome, reason=f"{told}, {why}.", value=0.0 - gain.gain, bound=bound
    )


def _judge_agreement(bound: float, found: ParityResult) -> RuleVerdict:
    outcome: RuleOutcome
    if found.agreement is None:
        outcome = "inconclusive"
        reason = f"Neither found anything to compare in {found.n_images} images."
    else:
        outcome = "pass" if found.agreement >= bound else "fail"
        reason = (
            f"It agrees with the released file on {found.agreement:.1%} of {found.n_compared} "
            f"detections in {found.n_images} images (corners within {found.worst_box_px:.2f} px, "
            f"scores within {found.worst_score:.4f}); at least {bound:.1%} is asked."
        )
    return RuleVerdict(
        rule="agreement", outcome=outcome, reason=reason, value=found.agreement, bound=bound
    )


def _judge_devices(devices: Sequence[DeviceWord]) -> RuleVerdict:
    wrong = [one for one in devices if one.problem]
    outcome: RuleOutcome
    if not devices:
        outcome = "inconclusive"
        reason = "It does not run on this host, and no device of this class has measured it yet: "
        reason += "`sightloop agent tune` there, then judge again."
    elif wrong:
        outcome = "fail"
        reason = f"{len(wrong)} of {len(devices)} devices cannot use it; {wrong[0].device}: "
        reason += wrong[0].problem
    else:
        outcome = "pass"
        reason = f"{len(devices)} device(s) see what the golden images promise."
    right = len(devices) - len(wrong)
    value = right / len(devices) if devices else None
    return RuleVerdict(rule="devices", outcome=outcome, reason=reason, value=value, bound=1.0)
