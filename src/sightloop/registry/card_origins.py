"""Where a version comes from, for its card: what a training recorded or a tracked run said."""

from __future__ import annotations

from collections.abc import Mapping

from sightloop.datasets.records import CommitRecord
from sightloop.datasets.samples import read_commit
from sightloop.kernel.workspace import Workspace
from sightloop.registry.card import OriginFacts
from sightloop.registry.values import ModelVersion
from sightloop.tracking.labels import params_of, tags_of
from sightloop.tracking.values import Run, RunInputs

GIT_COMMIT, GIT_DIRTY = "mlflow.source.git.commit", "sightloop.git.dirty"
HARDWARE = "sightloop.hardware"
"""Tags in which `sightloop.run` and MLflow's clients say these."""


def origin_facts(workspace: Workspace, run: Run, version: ModelVersion) -> OriginFacts:
    """What is known of the version's run and data.

    Raises:
        NoSuchRef: its dataset commit is gone.
    """
    commit = version.dataset_commit
    record = None if commit is None else read_commit(workspace, commit)
    if run.inputs is not None:
        return _of_training(run, run.inputs, version, record)
    with workspace.db.read() as tx:
        params, tags = params_of(tx, run.id), tags_of(tx, run.id)
    return _of_tracked(run, version, record, params=params, tags=tags)


def _of_training(
    run: Run, inputs: RunInputs, version: ModelVersion, record: CommitRecord | None
) -> OriginFacts:
    return OriginFacts(
        run=run.id,
        experiment=run.experiment,
        run_name=run.name,
        parameters=inputs.parameters,
        seed=inputs.seed,
        threads=inputs.threads,
        hardware=inputs.hardware,
        code_commit=inputs.code.commit,
        code_is_dirty=inputs.code.dirty,
        dataset_commit=version.dataset_commit,
        dataset_message=record.message if record else "",
        n_samples=record.n_samples if record else 0,
        split_rule=record.split_rule if record else None,
        unknown=[],
    )


def _of_tracked(
    run: Run,
    version: ModelVersion,
    record: CommitRecord | None,
    *,
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> OriginFacts:
    seed = params.get("seed", "")
    return OriginFacts(
        run=run.id,
        experiment=run.experiment,
        run_name=run.name,
        parameters=dict(params),
        seed=int(seed) if seed.isascii() and seed.isdigit() and len(seed) < 19 else None,
        threads=None,
        hardware=tags.get(HARDWARE, ""),
        code_commit=tags.get(GIT_COMMIT),
        code_is_dirty=tags.get(GIT_DIRTY) == "true",
        dataset_commit=version.dataset_commit,
        dataset_message=record.message if record else "",
        n_samples=record.n_samples if record else 0,
        split_rule=record.split_rule if record else None,
        unknown=[*_unknown(record, tags), "with how many threads it was trained"],
    )


def _unknown(record: CommitRecord | None, tags: Mapping[str, str]) -> list[str]:
    found = []
    if record is None:
        found.append(
            "what it learned from, so no gate can judge it, and the score from which it reports "
            "is a common one instead of one chosen on unseen images"
        )
    else:
        found.append("whether it kept to the split of this commit: a person said that it did")
    if GIT_COMMIT not in tags:
        found.append("which code trained it")
    if HARDWARE not in tags:
        found.append("on which machine it was trained")
    return found
