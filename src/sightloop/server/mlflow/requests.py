"""What several of MLflow's requests have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from sightloop.registry.registered import Search
from sightloop.server.mlflow.endpoints import Answer, BadMlflowRequest

MAX_EXPERIMENTS = 30_000
"""Databases take some ten thousand values in one question."""


class Pair(msgspec.Struct, frozen=True):
    """A parameter or a tag."""

    key: str
    value: str = ""


class OfRun(msgspec.Struct, frozen=True, kw_only=True):
    """Clients of all ages name a run by one of two fields, or both."""

    run_id: str = ""
    run_uuid: str = ""

    @property
    def run(self) -> str:
        """The run that is meant.

        Raises:
            BadMlflowRequest: none is.
        """
        if not (named := self.run_id or self.run_uuid):
            raise BadMlflowRequest(problem="Object missing required field `run_id`")
        return named


class SearchPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what fits; searches say themselves how much it may hold."""

    filter: str = ""
    max_results: int
    order_by: list[str] = []
    page_token: str = ""

    def of_registry(self, limit: int) -> Search:
        """The same, as the registry is asked.

        Raises:
            BadMlflowRequest: a page may not hold so many.
        """
        check_page_size(self.max_results, limit)
        return Search(
            filter=self.filter,
            order_by=self.order_by,
            limit=self.max_results,
            token=self.page_token,
        )


def texts_of(pairs: Iterable[Pair]) -> dict[str, str]:
    """Values by key; the last of a key counts."""
    return {one.key: one.value for one in pairs}


def experiment_number(text: str) -> int:
    """The number of an experiment as a client writes it.

    Raises:
        BadMlflowRequest: it is no number.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadMlflowRequest(problem=f"experiment_id {text[:40]!r} is not a number")
    return int(text)


def experiment_numbers(texts: Sequence[str]) -> list[int]:
    """The numbers of experiments as a client writes them, each once.

    Raises:
        BadMlflowRequest: one is no number, or they are too many for one question.
    """
    if len(texts) > MAX_EXPERIMENTS:
        problem = f"`experiment_ids` names {len(texts)}, at most {MAX_EXPERIMENTS} are searched"
        raise BadMlflowRequest(problem=problem)
    return list(dict.fromkeys(experiment_number(one) for one in texts))


def check_page_size(given: int, limit: int) -> None:
    """Return when a page may hold so many.

    Raises:
        BadMlflowRequest: it may not.
    """
    if not 1 <= given <= limit:
        raise BadMlflowRequest(problem=f"max_results {given} is not between 1 and {limit}")


def version_number(text: str) -> int:
    """The number of a model's version as a client writes it.

    Raises:
        BadMlflowRequest: it is no number.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadMlflowRequest(problem=f"version {text[:40]!r} is not a number")
    return int(text)


def page_answer(name: str, found: Sequence[Answer], next_token: str) -> Answer:
    """What was found under its name, and how to ask for more where there is more."""
    return {name: found, "next_page_token": next_token} if next_token else {name: found}
