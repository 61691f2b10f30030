"""What models and versions there are, for people and programs that ask."""

from __future__ import annotations

import msgspec

from sightloop.contracts.bundle import Bundle
from sightloop.datasets.samples import read_commit
from sightloop.evaluation import store as evaluations
from sightloop.evaluation.services import read_bundle
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry import store
from sightloop.registry.card import BundleFacts, ModelCard, OriginFacts, render_card
from sightloop.registry.keys import find_signer, owner_key_name
from sightloop.registry.values import ModelName, ModelVersion, VerdictRecord
from sightloop.tracking import store as tracking
from sightloop.tracking.values import Run


class ListModels(msgspec.Struct, frozen=True, kw_only=True):
    """Every model."""


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One model."""

    name: ModelName
    n_versions: int
    aliases: dict[str, int]


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """Models by name."""

    models: list[ModelSummary]


class ListVersions(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of a model."""

    model: str


class VersionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One version, where it stands."""

    version: ModelVersion
    aliases: list[str]
    verdict: VerdictRecord | None


class VersionList(msgspec.Struct, frozen=True, kw_only=True):
    """Versions, oldest first."""

    versions: list[VersionSummary]


class ShowVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version, as `MODEL@NUMBER` or `MODEL@ALIAS`."""

    version: str


class CardText(msgspec.Struct, frozen=True, kw_only=True):
    """A model card as Markdown."""

    version: str
    markdown: str


def list_models(workspace: Workspace, call: Call, request: ListModels) -> ModelList:  # noqa: ARG001
    """Every model with its aliases, by name."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        models = [
            ModelSummary(
                name=name,
                n_versions=len(store.versions_of(tx, name)),
                aliases={alias.alias: alias.number for alias in store.aliases_of(tx, name)},
            )
            for name in store.model_names(tx)
        ]
    return ModelList(models=models)


def list_versions(workspace: Workspace, call: Call, request: ListVersions) -> VersionList:
    """The model's versions with their latest verdicts, oldest first; none for an unknown model."""
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        aliases = store.aliases_of(tx, request.model)
        versions = [
            VersionSummary(
                version=version,
                aliases=[alias.alias for alias in aliases if alias.number == version.number],
                verdict=store.latest_verdict(tx, version.model, version.number),
            )
            for version in store.versions_of(tx, request.model)
        ]
    return VersionList(versions=versions)


def show_version(workspace: Workspace, call: Call, request: ShowVersion) -> ModelCard:
    """Everything about the version.

    Raises:
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
    return ModelCard(
        version=version,
        aliases=[alias.alias for alias in aliases if alias.number == version.number],
        bundle=_bundle_facts(read_bundle(workspace, version.bundle)),
        origin=_origin_facts(workspace, run),
        evaluations=found,
        verdict=verdict,
        approval=approval,
        owner_key_id=None if owner is None else owner.id,
        owner_key_is_here=find_signer(workspace, owner_key_name(version.model)) is not None,
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


def _origin_facts(workspace: Workspace, run: Run) -> OriginFacts:
    commit = read_commit(workspace, run.inputs.dataset_commit)
    return OriginFacts(
        run=run.id,
        experiment=run.experiment,
        run_name=run.name,
        parameters=run.inputs.parameters,
        seed=run.inputs.seed,
        threads=run.inputs.threads,
        hardware=run.inputs.hardware,
        code_commit=run.inputs.code.commit,
        code_is_dirty=run.inputs.code.dirty,
        dataset_commit=run.inputs.dataset_commit,
        dataset_message=commit.message,
        n_samples=commit.n_samples,
        split_rule=commit.split_rule,
    )
