"""What models and versions there are, for people and programs that ask."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sightloop.contracts.bundle import Bundle
from sightloop.evaluation import store as evaluations
from sightloop.evaluation.services import read_bundle
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.build_verdicts import build_verdicts_of
from sightloop.registry.card import BundleFacts, ModelCard, render_card
from sightloop.registry.card_origins import origin_facts
from sightloop.registry.foreign_catalogue import (
    ForeignVersions,
    count_foreign,
    foreign_versions,
)
from sightloop.registry.keys import find_signer, owner_key_name
from sightloop.registry.reproductions import reproductions_of
from sightloop.registry.values import Approval, ModelName, ModelVersion, VerdictRecord
from sightloop.tracking import store as tracking


class ListModels(msgspec.Struct, frozen=True, kw_only=True):
    """Models by name: all of them, or some that follow `after`."""

    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] | None = None


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One model."""

    name: ModelName
    n_versions: int
    """With a bundle."""
    aliases: dict[str, int]
    newest: int = 0
    """The number of its newest version; 0 when it has none."""
    verdict: VerdictRecord | None = None
    """The latest on its newest version."""
    n_foreign: int = 0
    """Versions that were registered without a bundle."""
    newest_foreign: int = 0
    """The number of the newest of them; 0 when there is none."""


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """Models by name."""

    models: list[ModelSummary]
    next_after: str | None = None
    """Asks for those after them; None at the end."""


class ListVersions(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of a model: all, or the newest of those below `before`."""

    model: str
    before: int | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] | None = None


class VersionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One version, where it stands."""

    version: ModelVersion
    aliases: list[str]
    verdict: VerdictRecord | None
    approval: Approval | None = None


class VersionList(msgspec.Struct, frozen=True, kw_only=True):
    """Versions with a bundle, oldest first, and those without one among the same numbers."""

    versions: list[VersionSummary]
    foreign: ForeignVersions = ForeignVersions()
    next_before: int | None = None
    """Asks for older ones; None when these are the oldest."""


class ShowVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version, as `MODEL@NUMBER` or `MODEL@ALIAS`."""

    version: str


class CardText(msgspec.Struct, frozen=True, kw_only=True):
    """A model card as Markdown."""

    version: str
    markdown: str


def list_models(workspace: Workspace, call: Call, request: ListModels) -> ModelList:
    """Models with their aliases and what the gate said of their newest versions, by name.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        # One more than asked for tells whether another page follows.
        wanted = None if request.limit is None else request.limit + 1
        names = store.model_names(tx, after=request.after, limit=wanted)
        page = names[: request.limit]
        counts = store.count_versions(tx, page)
        aliases = store.aliases_by_model(tx, page)
        verdicts = store.newest_verdicts(tx, page)
        foreign = count_foreign(tx, page)
    models = [
        ModelSummary(
            name=name,
            n_versions=counts[name].n_versions if name in counts else 0,
            aliases=aliases.get(name, {}),
            newest=counts[name].newest if name in counts else 0,
            verdict=verdicts.get(name),
            n_foreign=foreign[name].n_versions if name in foreign else 0,
            newest_foreign=foreign[name].newest if name in foreign else 0,
        )
        for name in page
    ]
    return ModelList(models=models, next_after=page[-1] if len(names) > len(page) else None)


def list_versions(workspace: Workspace, call: Call, request: ListVersions) -> VersionList:
    """The model's versions of both kinds, oldest first; none for an unknown model.

    Raises:
        NotAllowed: the actor may not read.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        aliases = store.aliases_of(tx, request.model)
        wanted = None if request.limit is None else request.limit + 1
        found = store.versions_of(tx, request.model, before=request.before, newest=wanted)
        foreign = foreign_versions(tx, request.model, before=request.before, newest=wanted)
        numbers = sorted([one.number for one in found] + [one.number for one in foreign])
        if not numbers:
            return VersionList(versions=[])
        # Both kinds count as one list, so that a page of it ends where the next begins.
        first = numbers[-request.limit :][:1] if request.limit is not None else numbers[:1]
        shown = [one for one in found if one.number >= first[0]]
        versions = [
            VersionSummary(
                version=version,
                aliases=[alias.alias for alias in aliases if alias.number == version.number],
                verdict=store.latest_verdict(tx, version.model, version.number),
                approval=store.find_approval(tx, version.model, version.number),
            )
            for version in shown
        ]
    registered = [one for one in foreign if one.number >= first[0]]
    return VersionList(
        versions=versions,
        foreign=ForeignVersions(versions=registered),
        next_before=first[0] if numbers[0] < first[0] else None,
    )


def show_version(workspace: Workspace, call: Call, request: ShowVersion) -> ModelCard:
    """Everything about the version.

    Raises:
        NotAllowed: the actor may not read.
        BadVersionReference: the text has another form.
        NotFound: there is no such version, or the alias points nowhere.
        BlobMissing, BlobDamaged: the store lost its manifest.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        version = store.find_version(tx, request.version)
        aliases = store.aliases_of(tx, version.model)
        run = tracking.find_run(tx, version.run)
        found = evaluations.list_evaluations(tx, bundle=version.bundle)
        verdict = store.latest_verdict(tx, version.model, version.number)
        approval = store.find_approval(tx, version.model, version.number)
        owner = store.owner_keys(tx).get(version.model)
        reproductions = reproductions_of(tx, version.model, version.number)
        builds = build_verdicts_of(tx, version.model, version.number)
    return ModelCard(
        version=version,
        aliases=[alias.alias for alias in aliases if alias.number == version.number],
        bundle=_bundle_facts(read_bundle(workspace, version.bundle)),
        origin=origin_facts(workspace, run, version),
        evaluations=found,
        verdict=verdict,
        approval=approval,
        owner_key_id=None if owner is None else owner.id,
        owner_key_is_here=find_signer(workspace, owner_key_name(version.model)) is not None,
        reproductions=reproductions,
        builds=builds,
    )


def show_card(workspace: Workspace, call: Call, request: ShowVersion) -> CardText:
    """The version's card as Markdown.

    Raises:
        BadVersionReference: the text has another form.
        NotFound: there is no such version, or the alias points nowhere.
    """
    card = show_version(workspace, call, request)
    return CardText(version=card.version.name, markdown=render_card(card))


def _bundle_facts(bundle: Bundle) -> BundleFacts:
    return BundleFacts(
        task=bundle.task,
        class_names=bundle.class_names,
        input=bundle.input,
        head=bundle.head,
        thresholds=bundle.thresholds,
        engine=bundle.engine,
        declared_licence=bundle.declared_licence,
        n_files=len(bundle.files),
        size_bytes=sum(file.size_bytes for file in bundle.files),
        n_golden=len(bundle.golden),
        reference_losses=bundle.reference.losses,
    )
