"""Calls that run a few at a time while their results are used in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def in_window(
    requests: Executor, function: Callable[[_Job], _Result], jobs: Iterable[_Job], *, n: int
) -> Iterator[tuple[_Job, _Result]]:
    """Each job with its result, in order; no more than `n` results are under way or unused.

    An executor's own `map` begins everything at once and would hold all that it fetched.
    """
    remaining = iter(jobs)
    under_way: deque[tuple[_Job, Future[_Result]]] = deque()
    try:
        while True:
            for job in islice(remaining, n - len(under_way)):
                under_way.append((job, requests.submit(function, job)))
            if not under_way:
                return
            job, future = under_way.popleft()
            yield job, future.result()
    finally:
        for _, future in under_way:
            future.cancel()
