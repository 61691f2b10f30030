"""Evaluations as they are kept: inserted once, read, never changed and never deleted."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, insert, select

from sightloop.evaluation.values import Evaluation, Summary
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest

_evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("bundle", Text, nullable=False),
    Column("dataset_commit", Text, nullable=False),
    Column("splits", Text, nullable=False),
    Column("runtime", Text, nullable=False),
    Column("n_images", Integer, nullable=False),
    Column("summary", Text, nullable=False),
    Column("answers", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Index("evaluations_by_bundle", "bundle", "created_at_ms"),
    Index("evaluations_by_commit", "dataset_commit", "created_at_ms"),
)


def record_evaluation(tx: Tx, evaluation: Evaluation) -> bool:
    """Write the evaluation; False when one of that id is there, which then stays as it is."""
    if find_evaluation(tx, evaluation.id) is not None:
        return False
    tx.execute(
        insert(_evaluations).values(
            id=evaluation.id,
            bundle=evaluation.bundle,
            dataset_commit=evaluation.commit,
            splits=msgspec.json.encode(evaluation.splits).decode(),
            runtime=evaluation.runtime,
            n_images=evaluation.n_images,
            summary=msgspec.json.encode(evaluation.summary, order="sorted").decode(),
            answers=evaluation.answers,
            created_at_ms=evaluation.created_at_ms,
        )
    )
    return True


def find_evaluation(tx: Tx, evaluation_id: str) -> Evaluation | None:
    """The evaluation of that id."""
    query = select(_evaluations).where(_evaluations.c.id == evaluation_id)
    row = tx.execute(query).mappings().first()
    return None if row is None else _evaluation_of(row)


def list_evaluations(
    tx: Tx, *, bundle: Digest | None = None, commit: Digest | None = None, limit: int = 1000
) -> list[Evaluation]:
    """Evaluations of that bundle, on that commit, newest first; None asks for any."""
    newest_first = (_evaluations.c.created_at_ms.desc(), _evaluations.c.id)
    query = select(_evaluations).order_by(*newest_first).limit(limit)
    if bundle is not None:
        query = query.where(_evaluations.c.bundle == bundle)
    if commit is not None:
        query = query.where(_evaluations.c.dataset_commit == commit)
    return [_evaluation_of(row) for row in tx.execute(query).mappings()]


def _evaluation_of(row: Any) -> Evaluation:  # noqa: ANN401 - a SQLAlchemy row mapping
    return Evaluation(
        id=row["id"],
        bundle=Digest(row["bundle"]),
        commit=Digest(row["dataset_commit"]),
        splits=msgspec.json.decode(row["splits"]),
        runtime=row["runtime"],
        n_images=row["n_images"],
        summary=msgspec.json.decode(row["summary"], type=Summary),
        answers=Digest(row["answers"]),
        created_at_ms=row["created_at_ms"],
    )
