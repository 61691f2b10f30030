"""`sightloop models` and `sightloop sign`."""

from __future__ import annotations

from typing import Annotated

import typer

from sightloop.cli.command import Session, command
from sightloop.cli.models_builds import gate_builds
from sightloop.cli.versions import Version, named_version


def register(app: typer.Typer) -> None:
    """Add the commands to the tree."""
    models = typer.Typer(help="Models, versions and what they proved.", no_args_is_help=True)
    app.add_typer(models, name="models")
    command(models, "list")(list_models)
    command(models, "show")(show)
    command(models, "package")(package)
    command(models, "evaluate")(evaluate)
    command(models, "gate")(gate)
    command(models, "gate-builds")(gate_builds)
    command(models, "approve")(approve)
    command(models, "reject")(reject)
    command(models, "revoke")(revoke)
    command(models, "promote")(promote)
    command(models, "card")(card)
    command(models, "evidence")(evidence)
    command(app, "sign")(sign)


def list_models(
    session: Session, *, model: Annotated[str, typer.Argument(help="One model's versions.")] = ""
) -> None:
    """All models, or the versions of one."""
    from sightloop.cli.views import models as views
    from sightloop.registry.catalogue import (
        ListModels,
        ListVersions,
        ModelList,
        VersionList,
    )

    if model:
        found = session.call("models.versions", ListVersions(model=model), VersionList)
        session.print(found, views.versions)
    else:
        session.print(session.call("models.list", ListModels(), ModelList), views.models)


def show(session: Session, *, version: Version) -> None:
    """What a version is, what it was trained on and what the gate said."""
    from sightloop.cli.views import models as views
    from sightloop.registry.card import ModelCard
    from sightloop.registry.catalogue import ShowVersion
    from sightloop.registry.foreign_catalogue import ShowRegistered
    from sightloop.registry.registered import RegisteredVersion

    asked = ShowRegistered(version=version)
    known = session.call("models.registered", asked, RegisteredVersion)
    if known.bundle is None:
        session.print(known, views.foreign_version)
        return
    found = session.call("models.show", ShowVersion(version=version), ModelCard)
    session.print(found, views.version)


def package(
    session: Session,
    *,
    run: Annotated[str, typer.Argument(help="Id of a finished run.")],
    model: Annotated[
        str, typer.Option(help="Name of the model; that of the run's experiment unless given.")
    ] = "",
    ref: Annotated[
        str, typer.Option("--data", help="Branch or commit that a tracked run learned from.")
    ] = "",
    weights: Annotated[
        str, typer.Option(help="The artifact that is a tracked run's checkpoint.")
    ] = "",
    image_size: Annotated[
        int, typer.Option(help="Side of a tracked run's images in pixels; 0 takes its `imgsz`.")
    ] = 0,
    head: Annotated[
        str, typer.Option(help="Which head of a tracked run to export: raw or end_to_end.")
    ] = "",
    engine: Annotated[str, typer.Option(help="Engine that exports it; yolo26 unless given.")] = "",
) -> None:
    """Make a run's model the next version: a training's, or a tracked run's that kept weights."""
    import msgspec

    from sightloop.registry.origins import PackageRun
    from sightloop.registry.values import ModelVersion

    plain = {"run": run, "model": model, "data": ref, "weights": weights, "engine": engine}
    said = {"image_size_px": image_size or None, "head": head or None}
    request = msgspec.convert({**plain, **said}, PackageRun)
    made = session.call("models.package", request, ModelVersion)
    session.print(made, lambda one: f"{one.model}@{one.number}  bundle {one.bundle}")


def evaluate(
    session: Session,
    *,
    version: Version,
    ref: Annotated[str, typer.Option("--data", help="Branch or commit.")] = "main",
    split: Annotated[
        list[str] | None, typer.Option(help="train, val, test or audit; may be repeated.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 1,
) -> None:
    """Measure the exported file on a commit's images."""
    import msgspec

    from sightloop.cli.views import models as views
    from sightloop.datasets.commits import CommitFacts, ShowCommit
    from sightloop.evaluation.services import EvaluateBundle
    from sightloop.evaluation.values import Evaluation

    bundle = named_version(session, version).bundle
    commit = session.call("data.show", ShowCommit(ref=ref), CommitFacts).commit
    plain = {"bundle": bundle, "commit": commit, "splits": split or ["test", "audit"]}
    request = msgspec.convert({**plain, "threads": threads}, EvaluateBundle)
    session.print(session.call("models.evaluate", request, Evaluation), views.evaluation)


def gate(
    session: Session,
    *,
    version: Version,
    ref: Annotated[str, typer.Option("--data", help="Branch or commit to judge on.")] = "main",
    max_drop: Annotated[float, typer.Option(help="AP50 it may lose on all images.")] = 0.02,
    better_on: Annotated[
        list[str] | None, typer.Option(help="A stratum (FIELD=VALUE) it must gain on.")
    ] = None,
) -> None:
    """Judge a version against the champion and record the verdict."""
    from sightloop.cli.views import models as views
    from sightloop.evaluation.gate import GateRules
    from sightloop.registry.gating import GateVersion
    from sightloop.registry.values import VerdictRecord

    named = named_version(session, version)
    request = GateVersion(
        model=named.model,
        number=named.number,
        commit=ref,
        rules=GateRules(max_drop=max_drop, better_on=better_on or []),
    )
    record = session.call("models.gate", request, VerdictRecord)
    session.print(record, views.verdict_record)
    if record.verdict.outcome != "pass":
        raise typer.Exit(1)


Comment = Annotated[str, typer.Option("--comment", "-m", help="Why; others read it later.")]


def approve(session: Session, *, version: Version, comment: Comment) -> None:
    """Let a version that passed its gate be signed and released."""
    _decide(session, "models.approve", version, comment)


def reject(session: Session, *, version: Version, comment: Comment) -> None:
    """Keep a version from being released, although it passed its gate."""
    _decide(session, "models.reject", version, comment)


def revoke(
    session: Session,
    *,
    version: Version,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; devices show it.")],
) -> None:
    """Take a signed version back: no device runs it any more, now or ever."""
    from sightloop.fleet.revoking import RevokedEverywhere
    from sightloop.registry.revoking import RevokeVersion

    named = named_version(session, version)
    request = RevokeVersion(model=named.model, number=named.number, reason=reason)
    done = session.call("models.revoke", request, RevokedEverywhere)
    instead = "nothing instead" if done.instead is None else f"{named.model}@{done.instead} instead"
    session.print(done, lambda _: f"{version} is revoked; {done.n_slots} slots get {instead}")


def _decide(session: Session, operation: str, version: str, comment: str) -> None:
    from sightloop.cli.views import models as views
    from sightloop.registry.approvals import DecideVersion
    from sightloop.registry.values import Approval

    named = named_version(session, version)
    request = DecideVersion(model=named.model, number=named.number, comment=comment)
    session.print(session.call(operation, request, Approval), views.approval)


def promote(
    session: Session,
    *,
    version: Version,
    alias: Annotated[str, typer.Option(help="The pointer to move.")] = "champion",
) -> None:
    """Point an alias at a version; `champion` only takes one that passed its gate."""
    from sightloop.registry.aliases import SetAlias
    from sightloop.registry.values import Alias

    named = named_version(session, version)
    request = SetAlias(model=named.model, alias=alias, number=named.number)
    moved = session.call("models.promote", request, Alias)
    session.print(moved, lambda one: f"{one.model}@{one.alias} is now {one.model}@{one.number}")


def card(session: Session, *, version: Version) -> None:
    """The model card, as Markdown."""
    from sightloop.registry.catalogue import CardText, ShowVersion

    text = session.call("models.card", ShowVersion(version=version), CardText)
    session.print(text, lambda one: one.markdown)


def evidence(
    session: Session,
    *,
    version: Version,
    samples: Annotated[int, typer.Option(help="How many images to name and re-read.")] = 5,
) -> None:
    """The chain from the devices that run a version back to the pixels it learned from."""
    from sightloop.cli.views import models as views
    from sightloop.loop.evidence import EvidenceChain, ShowEvidence

    request = ShowEvidence(version=version, n_samples=samples)
    session.print(session.call("models.evidence", request, EvidenceChain), views.evidence)


def sign(session: Session, *, version: Version) -> None:
    """Sign a version with its owner's key.

    One without a passing verdict is refused.
    """
    from sightloop.registry.signing import SignVersion
    from sightloop.registry.values import ModelVersion

    named = named_version(session, version)
    request = SignVersion(model=named.model, number=named.number)
    signed = session.call("models.sign", request, ModelVersion)
    session.print(signed, lambda one: f"{one.model}@{one.number} is signed")
