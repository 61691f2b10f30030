"""How much and which text tracking takes; the figures are those of MLflow's server. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from sightloop.tracking.errors import BadName, TooMuch

MAX_METRICS = 1000
MAX_PARAMS = 100
MAX_TAGS = 100
MAX_ENTITIES = 1000
MAX_BATCH_BYTES = 1_000_000
MAX_KEY_CHARACTERS = 250
MAX_PARAM_CHARACTERS = 100_000
MAX_TAG_CHARACTERS = 100_000
"""MLflow's server silently cuts parameters to 6000 characters and tags to 8000; here both stay."""
MAX_EXPERIMENT_NAME_CHARACTERS = 500
MAX_EXPERIMENT_TAG_CHARACTERS = 20_000
MAX_RUNS_PER_PAGE = 50_000
MAX_POINTS_PER_PAGE = 25_000
MAX_DATASET_NAME_CHARACTERS = 500
MAX_DATASET_DIGEST_CHARACTERS = 36

_NAME = re.compile(r"[/\w.\- :]+")


def check_key(key: str, *, what: str) -> None:
    """Return when a metric, parameter or tag may be called this.

    Raises:
        BadName: it has odd characters, is too long, or would be another path when tidied.
    """
    if not _NAME.fullmatch(key):
        allowed = "letters, digits, _ - . : / and spaces"
        raise BadName(what=what, name=key, problem=f"it may hold {allowed} only")
    if len(key) > MAX_KEY_CHARACTERS:
        raise BadName(
            what=what, name=key, problem=f"it has more than {MAX_KEY_CHARACTERS} characters"
        )
    if posixpath.normpath(key) != key or key.startswith(("/", "..")):
        raise BadName(what=what, name=key, problem="as a path it would lead elsewhere")


def check_value(value: str, limit: int, *, what: str, key: str) -> None:
    """Return when the text is short enough.

    Raises:
        TooMuch: it is not.
    """
    if len(value) > limit:
        raise TooMuch(what=f"{what} {key[:80]!r}", n=len(value), limit=limit, unit="characters")


def check_batch(
    metrics: Sequence[object], params: Mapping[str, str], tags: Mapping[str, str]
) -> None:
    """Return when one request may carry so many.

    Raises:
        TooMuch: it may not.
    """
    total = len(metrics) + len(params) + len(tags)
    for what, n, limit in (
        ("metrics", len(metrics), MAX_METRICS),
        ("parameters", len(params), MAX_PARAMS),
        ("tags", len(tags), MAX_TAGS),
        ("metrics, parameters and tags", total, MAX_ENTITIES),
    ):
        if n > limit:
            raise TooMuch(what=f"one batch of {what}", n=n, limit=limit, unit="entries")
