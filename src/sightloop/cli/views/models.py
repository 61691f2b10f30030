"""Models, verdicts and evidence in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from sightloop.cli.render import facts, state, table, when
from sightloop.evaluation.values import Evaluation
from sightloop.kernel.digests import short
from sightloop.loop.evidence import CommitLink, EvidenceChain
from sightloop.registry.card import ModelCard
from sightloop.registry.catalogue import ModelList, VersionList
from sightloop.registry.foreign_catalogue import WHY_NOT_RELEASED
from sightloop.registry.registered import RegisteredVersion
from sightloop.registry.reproductions import Reproduction
from sightloop.registry.values import Approval, VerdictRecord


def models(found: ModelList) -> RenderableType:
    """All models."""
    rows = (
        (
            one.name,
            one.n_versions,
            one.n_foreign,
            ", ".join(f"{a} @{n}" for a, n in one.aliases.items()) or "-",
        )
        for one in found.models
    )
    return table(("model", "n versions", "n registered", "aliases"), rows, empty="no model yet")


def versions(found: VersionList) -> RenderableType:
    """The versions of one model."""
    rows = (
        (
            one.version.name,
            when(one.version.created_at_ms),
            state(one.verdict.verdict.outcome) if one.verdict else "-",
            "signed" if one.version.signed_at_ms else "-",
            ", ".join(one.aliases) or "-",
            short(one.version.bundle),
        )
        for one in found.versions
    )
    columns = ("version", "made", "verdict", "signature", "aliases", "bundle")
    listed = table(columns, rows, empty="no version with a bundle yet")
    if not found.foreign.versions:
        return listed
    foreign = (
        (
            f"{one.model}@{one.number}",
            when(one.created_at_ms),
            ", ".join(one.aliases) or "-",
            short(one.run) if one.run else "-",
            one.source[:60],
        )
        for one in found.foreign.versions
    )
    named = ("registered only", "made", "aliases", "run", "source")
    why = Text(f"not releasable: {found.foreign.why_not_released}", style="dim")
    return Group(listed, Text(), table(named, foreign, empty=""), why)


def foreign_version(one: RegisteredVersion) -> RenderableType:
    """A version without a bundle, and why it goes no further."""
    aliases = f" ({', '.join(one.aliases)})" if one.aliases else ""
    return facts(
        [
            ("version", f"{one.model}@{one.number}{aliases}"),
            ("bundle", "none: registered through MLflow"),
            ("made", when(one.created_at_ms)),
            ("source", one.source),
            ("files", one.location),
            ("run", one.run or "-"),
            ("logged model", one.logged_model or "-"),
            ("stage", one.stage),
            ("description", one.description or "-"),
            *((f"tag {name}", value) for name, value in one.tags.items()),
            ("not releasable", WHY_NOT_RELEASED),
        ]
    )


def version(card: ModelCard) -> RenderableType:
    """One version: what it is and what it proved."""
    one = card.version
    head = facts(
        [
            ("version", one.name + (f" ({', '.join(card.aliases)})" if card.aliases else "")),
            ("bundle", one.bundle),
            ("signed", when(one.signed_at_ms) if one.signed_at_ms else "no"),
            ("run", one.run),
            ("data", one.dataset_commit or "not known"),
            ("engine", card.bundle.engine),
            ("licence", card.bundle.declared_licence),
            ("classes", ", ".join(card.bundle.class_names)),
            ("threshold", f"{card.bundle.thresholds.score:.2f}"),
            *(("not known", lacking) for lacking in card.origin.unknown),
        ]
    )
    parts: list[RenderableType] = [head]
    for found in card.evaluations:
        parts += [Text(), evaluation(found)]
    if card.verdict is not None:
        parts += [Text(), verdict_record(card.verdict)]
    if card.approval is not None:
        parts += [Text(), approval(card.approval)]
    if card.reproductions:
        parts += [Text(), Group(*map(_made_again, card.reproductions))]
    return Group(*parts)


def evaluation(found: Evaluation) -> RenderableType:
    """How a bundle did on a commit."""
    summary = found.summary
    rows = (
        (name or "all", part.n_images, part.n_objects, _share(part.ap50), f"{part.mean_loss:.3f}")
        for name, part in summary.strata.items()
    )
    head = Text(
        f"{found.n_images} images of {', '.join(found.splits)} at {short(found.commit)}: "
        f"AP50 {_share(summary.ap50)}, AP {_share(summary.ap)}, "
        f"{summary.latency_p50_ms:.1f} ms per image"
    )
    columns = ("slice", "images", "boxes", "AP50", "mean loss")
    return Group(head, table(columns, rows, empty="no slices"))


def verdict_record(record: VerdictRecord) -> RenderableType:
    """What the gate said, rule by rule."""
    rows = ((one.rule, state(one.outcome), one.reason) for one in record.verdict.rules)
    head = Text.assemble(
        f"{record.model}@{record.number}: ", state(record.verdict.outcome), f"  {record.id}"
    )
    return Group(head, table(("rule", "says", "because"), rows, empty="no rule was asked"))


def approval(found: Approval) -> RenderableType:
    """What a person decided."""
    word = {"approve": "approved", "reject": "rejected"}[found.decision]
    return Text(f"{found.model}@{found.number} {word} by {found.by}: {found.comment}")


def evidence(chain: EvidenceChain) -> RenderableType:
    """The chain as a tree, from devices down to pixels."""
    tree = Tree(f"[bold]{chain.version.name}[/]  bundle {chain.version.bundle}")
    for line in _devices(chain):
        tree.add(line)
    if chain.turn is not None:
        turn = chain.turn
        tree.add(f"turn {turn.id}: {turn.state}, because {turn.trigger.reason}")
    if chain.verdict is not None:
        verdict = tree.add(f"verdict {chain.verdict.id}: {chain.verdict.verdict.outcome}")
        for rule in chain.verdict.verdict.rules:
            verdict.add(Text(f"{rule.rule}: {rule.outcome} - {rule.reason}"))
    if chain.approval is not None:
        tree.add(approval(chain.approval))
    if chain.evaluation is not None:
        tree.add(f"evaluation {chain.evaluation.id} on {short(chain.evaluation.commit)}")
    inputs = chain.run.inputs
    by = f"{inputs.engine}, {inputs.hardware}" if inputs else "tracked, not trained by Sightloop"
    run = tree.add(f"run {chain.run.id}: {by}")
    for name, digest in chain.artifacts.items():
        run.add(Text(f"{name}  {digest}", style="dim"))
    for found in chain.reproductions:
        run.add(_made_again(found))
    _add_commit(run, chain.commit)
    if chain.newest_seal is not None:
        tree.add(f"audit seal {chain.newest_seal.number}: {chain.newest_seal.seal}")
    return tree


def _add_commit(run: Tree, link: CommitLink | None) -> None:
    if link is None:
        run.add("nobody recorded what it learned from: the chain ends here")
        return
    commit = run.add(f"dataset commit {link.commit} ({link.n_samples} samples)")
    for sample in link.samples:
        text = (
            f"{sample.file_name}  {sample.image}  {sample.size_bytes:,} bytes, re-read and intact"
        )
        commit.add(Text(text))


def _made_again(found: Reproduction) -> Text:
    text = f"made again {when(found.ended_at_ms)}: {found.verdict}, {found.environment} environment"
    return Text(f"{text}, {len(found.differences)} differences, {found.hardware}")


def _devices(chain: EvidenceChain) -> Iterator[Text]:
    for one in chain.devices:
        text = f"device {one.name} ({one.device}), slot {one.slot}, assignment {one.counter}"
        yield Text(f"{text}, seen {when(one.seen_at_ms)}")
    if not chain.devices:
        yield Text("no device runs it now", style="dim")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
