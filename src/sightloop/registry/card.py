"""A version's card: everything there is to know about it, as a value and as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sightloop.contracts.bundle import HeadLayout, ModelInput, ReferenceLoss, Task, Thresholds
from sightloop.datasets.splits import SplitRule
from sightloop.evaluation.values import Evaluation
from sightloop.kernel.clock import format_utc
from sightloop.kernel.digests import Digest
from sightloop.registry.build_verdicts import BuildVerdict
from sightloop.registry.reproductions import Reproduction
from sightloop.registry.values import Approval, ModelVersion, VerdictRecord


class BundleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifest says, without its bins and boxes."""

    task: Task
    class_names: list[str]
    input: ModelInput
    head: HeadLayout
    thresholds: Thresholds
    engine: str
    declared_licence: str
    n_files: int
    size_bytes: int
    n_golden: int
    reference_losses: dict[str, ReferenceLoss]


class OriginFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What it was trained on and with, as far as anybody recorded it."""

    run: str
    experiment: str
    run_name: str
    parameters: dict[str, str]
    seed: int | None
    threads: int | None
    hardware: str
    code_commit: str | None
    code_is_dirty: bool
    dataset_commit: Digest | None
    dataset_message: str
    n_samples: int
    split_rule: SplitRule | None
    unknown: list[str]
    """What nobody recorded, in words; empty for a training of Sightloop."""


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one version."""

    version: ModelVersion
    aliases: list[str]
    bundle: BundleFacts
    origin: OriginFacts
    evaluations: list[Evaluation]
    verdict: VerdictRecord | None
    """The latest; None when nobody gated it."""
    approval: Approval | None
    """What a person decided; None when nobody did."""
    owner_key_id: str | None
    owner_key_is_here: bool
    """Then whoever owns this host can also sign for the owner."""
    reproductions: list[Reproduction] = []
    """What came of making it again, newest first."""
    builds: list[BuildVerdict] = []
    """The newest word on each other way to run it."""


def render_card(card: ModelCard) -> str:
    """The card as Markdown, for people; the same card gives the same text."""
    sections = (
        _head(card),
        _bundle(card.bundle),
        _origin(card.origin),
        _evaluations(card.evaluations),
        _verdict(card.verdict),
        _builds(card.builds),
        _approval(card.approval),
        _reproductions(card.reproductions),
        _signature(card),
    )
    written = [lines for lines in map(list, sections) if lines]
    return "\n".join(line for lines in written for line in [*lines, ""])


def _head(card: ModelCard) -> Iterator[str]:
    version = card.version
    yield f"# {version.name}"
    yield ""
    yield f"- bundle: `{version.bundle}`"
    yield f"- packaged: {format_utc(version.created_at_ms)}"
    yield f"- aliases: {', '.join(card.aliases) or 'none'}"


def _bundle(bundle: BundleFacts) -> Iterator[str]:
    yield "## What it does"
    yield ""
    yield f"- finds: {', '.join(bundle.class_names)}"
    yield f"- input: {bundle.input.width_px} x {bundle.input.height_px} px, head `{bundle.head}`"
    yield f"- reports from a score of {bundle.thresholds.score:.2f}"
    yield f"- files: {bundle.n_files}, {bundle.size_bytes / 1e6:.1f} MB, {bundle.n_golden} golden"
    yield f"- engine: {bundle.engine}"
    yield f"- licence, as declared by the file: {bundle.declared_licence or 'none declared'}"


def _origin(origin: OriginFacts) -> Iterator[str]:
    dirty = ", with uncommitted changes" if origin.code_is_dirty else ""
    yield "## Where it comes from"
    yield ""
    yield f"- run: `{origin.run}` ({origin.experiment}, {origin.run_name})"
    if origin.dataset_commit is not None:
        facts = f"{origin.n_samples} images: {origin.dataset_message}"
        yield f"- data: `{origin.dataset_commit}`, {facts}"
        yield f"- split: {origin.split_rule}"
    yield f"- code: {origin.code_commit or 'no Git repository'}{dirty}"
    if origin.seed is not None and origin.threads is not None:
        yield f"- machine: {origin.hardware}; {origin.threads} threads, seed {origin.seed}"
    elif origin.hardware:
        yield f"- machine: {origin.hardware}"
    for lacking in origin.unknown:
        yield f"- not known: {lacking}"
    for name, value in sorted(origin.parameters.items()):
        yield f"- {name}: {value}"


def _evaluations(evaluations: list[Evaluation]) -> Iterator[str]:
    yield "## How good it is"
    if not evaluations:
        yield ""
        yield "It has not been evaluated."
    for evaluation in evaluations:
        summary = evaluation.summary
        yield ""
        yield f"On {evaluation.n_images} images ({', '.join(evaluation.splits)}) of commit "
        yield f"`{evaluation.commit}`: AP {_share(summary.ap)}, AP50 {_share(summary.ap50)}, "
        yield f"median {summary.latency_p50_ms:.1f} ms per image (`{evaluation.id}`)."
        yield ""
        yield "| stratum | images | objects | AP50 | mean loss |"
        yield "|---|---:|---:|---:|---:|"
        for stratum, found in sorted(summary.strata.items()):
            yield (
                f"| {stratum or 'all'} | {found.n_images} | {found.n_objects} "
                f"| {_share(found.ap50)} | {found.mean_loss:.3f} |"
            )


def _verdict(verdict: VerdictRecord | None) -> Iterator[str]:
    yield "## Verdict"
    yield ""
    if verdict is None:
        yield "Nobody has gated it."
        return
    against = "on its own" if verdict.champion is None else f"against version {verdict.champion}"
    when = format_utc(verdict.decided_at_ms)
    yield f"**{verdict.verdict.outcome}** {against}, {when} (`{verdict.id}`)"
    yield ""
    for rule in verdict.verdict.rules:
        yield f"- {rule.rule}: {rule.outcome}. {rule.reason}"


def _builds(found: list[BuildVerdict]) -> Iterator[str]:
    if not found:
        return
    yield "## Other ways to run it"
    yield ""
    for one in found:
        where = one.device_class or "every class of device"
        when = format_utc(one.decided_at_ms)
        yield f"- {one.runtime} {one.precision}, {where}: **{one.verdict.outcome}**, {when}"
        for rule in one.verdict.rules:
            yield f"  - {rule.rule}: {rule.outcome}. {rule.reason}"


def _approval(approval: Approval | None) -> Iterator[str]:
    if approval is None:
        return
    word = {"approve": "Approved", "reject": "Rejected"}[approval.decision]
    yield "## Approval"
    yield ""
    yield f"{word} by {approval.by}, {format_utc(approval.at_ms)}: {approval.comment}"


def _reproductions(found: list[Reproduction]) -> Iterator[str]:
    if not found:
        return
    yield "## Made again from its record"
    yield ""
    for one in found:
        yield f"- {one.verdict}, {format_utc(one.ended_at_ms)}, on {one.hardware} (`{one.id}`)"


def _signature(card: ModelCard) -> Iterator[str]:
    yield "## Signature"
    yield ""
    if card.version.signed_at_ms is None:
        yield "It is not signed; no device will install it."
        return
    yield f"Signed {format_utc(card.version.signed_at_ms)} by the owner key `{card.owner_key_id}`."
    if card.owner_key_is_here:
        yield "The owner's private key lies on the server's host: who takes one has both."


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
