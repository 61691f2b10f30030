"""How each tool does each thing a person asks of it. All keep the files to version in `data/`.

What Git has to do beside DVC (committing or checking out a small text file) is done and not
counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.data.measure import Cost, Ran, run, run_inside
from bench.data.trash import throw_away

REPOSITORY = Path(__file__).parents[2]
DATA = "data"
BEFORE, AFTER = "before", "after"
"""The branches between which tools switch and diff."""


class Tool(ABC):
    """One tool on one folder."""

    name: ClassVar[str]
    is_command: ClassVar[bool] = True
    """Whether costs are those of whole processes, not of an operation inside one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / DATA
        root.mkdir(parents=True, exist_ok=True)

    def begin_anew(self) -> None:
        """An empty repository around the files, whatever there was."""
        for path in self.root.iterdir():
            if path != self.data:
                throw_away(path)
        self._begin()

    @abstractmethod
    def take(self) -> Cost:
        """Version all files as they are; the first time: the import."""

    def take_more(self) -> Cost:
        """Version what has changed."""
        return self.take()

    @abstractmethod
    def status(self) -> Cost:
        """Ask what has changed."""

    @abstractmethod
    def branch(self, name: str) -> None:
        """A new branch here; go on there."""

    @abstractmethod
    def switch(self, name: str) -> Cost:
        """Make the files those of the branch."""

    @abstractmethod
    def diff(self) -> Cost:
        """What differs between the two branches, as JSON where the tool has it."""

    @abstractmethod
    def _begin(self) -> None: ...


class Sightloop(Tool):
    """`sightloop data ...`, each command a process."""

    name = "Sightloop"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        # An installed package is compiled once, not by every command.
        self.env = {"PYTHONDONTWRITEBYTECODE": ""}

    def take(self) -> Cost:
        """`import data`."""
        return self.data_command("import", self.data).cost

    def take_more(self) -> Cost:
        """`commit data`."""
        return self.data_command("commit", self.data, "-m", "more").cost

    def status(self) -> Cost:
        """`status data`."""
        return self.data_command("status", self.data).cost

    def branch(self, name: str) -> None:
        """`branch NAME`, and the folder goes there."""
        self.data_command("branch", name)
        self.data_command("checkout", name, self.data)

    def switch(self, name: str) -> Cost:
        """`checkout NAME data`."""
        return self.data_command("checkout", name, self.data).cost

    def diff(self) -> Cost:
        """`diff before after`, every sample listed."""
        return self.data_command("diff", BEFORE, AFTER, "--limit", "1000").cost

    def data_command(self, *words: str | Path) -> Ran:
        """`sightloop data WORDS --json`."""
        return run([*SIGHTLOOP, "data", *words, "--json"], cwd=self.root, env=self.env)

    def _begin(self) -> None:
        run([*SIGHTLOOP, "init"], cwd=self.root, env=self.env)


class SightloopInside(Sightloop):
    """The same through `sightloop.open`; only the operation is timed."""

    name = "Sightloop in Python"
    is_command = False

    def take_more(self) -> Cost:
        """`ds.commit`."""
        return self.inside("commit", self.data)

    def status(self) -> Cost:
        """`ds.status`."""
        return self.inside("status", self.data)

    def switch(self, name: str) -> Cost:
        """`ds.checkout`."""
        return self.inside("switch", name, self.data)

    def diff(self) -> Cost:
        """`ds.diff`."""
        return self.inside("diff", BEFORE, AFTER)

    def inside(self, *words: str | Path) -> Cost:
        """Cost of one of `sightloop_operations`."""
        return run_inside(self._argv(words), cwd=self.root, env=self.env | _with_bench(PYTHONPATH))[
            0
        ]

    def prepare(self, *words: str | Path) -> None:
        """One of `sightloop_operations` that nobody times."""
        run(self._argv(words), cwd=self.root, env=self.env | _with_bench(PYTHONPATH))

    @staticmethod
    def _argv(words: Sequence[str | Path]) -> list[str | Path]:
        return [sys.executable, "-m", "bench.data.sightloop_operations", *words]


class Dvc(Tool):
    """`dvc add` and the rest, without analytics and without a look for updates."""

    name = "DVC"

    def __init__(self, root: Path, peers: Path) -> None:
        super().__init__(root)
        self.peers = peers
        self.env = {
            "DVC_NO_ANALYTICS": "1",
            # What DVC remembers of files stands outside the repository; here it goes with it.
            "DVC_SITE_CACHE_DIR": str(root / ".site"),
            "DVC_GLOBAL_CONFIG_DIR": str(root / ".site" / "global"),
            "DVC_SYSTEM_CONFIG_DIR": str(root / ".site" / "system"),
            "HOME": str(root / ".site"),
        }

    def take(self) -> Cost:
        """`dvc add data`."""
        return self.add(DATA)

    def status(self) -> Cost:
        """`dvc status`."""
        return self.command("status")

    def branch(self, name: str) -> None:
        """A branch of Git."""
        self._git("checkout", "-b", name)

    def switch(self, name: str) -> Cost:
        """`dvc checkout`, after that of Git."""
        self._git("checkout", name)
        return self.command("checkout", "--quiet")

    def diff(self) -> Cost:
        """`dvc diff before after`."""
        return self.command("diff", "--json", BEFORE, AFTER)

    def add(self, name: str) -> Cost:
        """`dvc add` and a Git commit of what it wrote."""
        cost = self.command("add", "--quiet", name)
        self._git("add", "--all")
        self._git("commit", "--message", "more")
        return cost

    def command(self, *words: str) -> Cost:
        """`dvc WORDS`."""
        return run([self.peers / "dvc", *words], cwd=self.root, env=self.env).cost

    def _begin(self) -> None:
        self._git("init", "--initial-branch", "main")
        self._git("config", "user.name", "bench")
        self._git("config", "user.email", "bench@example.org")
        self.command("init", "--quiet")
        self.command("config", "core.analytics", "false")
        self.command("config", "core.check_update", "false")
        with (self.root / ".git" / "info" / "exclude").open("a") as file:
            file.write("/.site\n")
        self._git("add", "--all", ":!data", ":!labels")
        self._git("commit", "--message", "begin")

    def _git(self, *words: str) -> None:
        env = {**os.environ, **self.env, "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *words], cwd=self.root, env=env, check=True, capture_output=True)


class Oxen(Tool):
    """Its Python package; only the operation is timed."""

    name = "Oxen"
    is_command = False

    def __init__(self, root: Path, peers: Path) -> None:
        super().__init__(root)
        self._python = peers / "python"

    def take(self) -> Cost:
        """`add` and `commit`."""
        return self.operation("take", DATA)

    def status(self) -> Cost:
        """`status`."""
        return self.operation("status")

    def branch(self, name: str) -> None:
        """`checkout` that makes a branch."""
        self.operation("branch", name)

    def switch(self, name: str) -> Cost:
        """`checkout`."""
        return self.operation("switch", name)

    def diff(self) -> Cost:
        """`oxen.diff` of the tree."""
        return self.operation("diff", BEFORE, AFTER)

    def operation(self, *words: str) -> Cost:
        """Of `oxen_operations`."""
        argv = [str(self._python), "-m", "bench.data.oxen_operations", *words]
        env = {**_with_bench(""), "HOME": str(self.root.parent / "home")}
        return run_inside(argv, cwd=self.root, env=env)[0]

    def _begin(self) -> None:
        self.operation("begin")


SIGHTLOOP = [sys.executable, "-m", "sightloop.cli.main"]
"""What the console script `sightloop` runs."""

PYTHONPATH = os.environ.get("PYTHONPATH", "")


def _with_bench(path: str) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), path]))}
