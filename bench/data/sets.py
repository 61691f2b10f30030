"""A set of files, and every tool standing on its own copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.data.generate import write_images
from bench.data.measure import run
from bench.data.results import Notes
from bench.data.tools import Dvc, Oxen, Sightloop, SightloopInside, Tool
from bench.data.trash import is_short_of_space

N_TOUCHED = 10
"""New files in "a commit after ten new files"."""


class Plan(NamedTuple):
    """How large everything is."""

    n_small: int = 10_000
    small_bytes: int = 50_000
    n_large: int = 100_000
    large_bytes: int = 10_000
    sizes: Sequence[int] = (10_000, 100_000, 1_000_000)
    n_boxes: int = 1_000_000


QUICK = Plan(200, 50_000, 1_000, 10_000, (100, 1_000, 2_000), 10_000)
"""For trying the bench itself; its numbers mean nothing."""


class FileSet:
    """`n` image files of one size; the tools' repositories are made when they are first needed."""

    def __init__(self, folder: Path, peers: Path, *, n: int, size_bytes: int) -> None:
        self.folder, self.n, self.size_bytes = folder, n, size_bytes
        self.source = folder / "source"
        self.sightloop = Sightloop(folder / "sightloop")
        self.inside = SightloopInside(folder / "sightloop")
        self.dvc = Dvc(folder / "dvc", peers)
        self.oxen = Oxen(folder / "oxen", peers)
        self._taken: set[Path] = set()
        self._n_written = n

    @property
    def tools(self) -> list[Tool]:
        """All of them, in the order of their turns."""
        return [self.sightloop, self.inside, self.dvc, self.oxen]

    def rounds(self, tool: Tool) -> int:
        """Repetitions: fewer where one takes a minute or two."""
        if self.n * self.size_bytes < 10**9:
            return 3
        return 1 if tool is self.oxen else 2

    def write(self) -> None:
        """The files, once for everybody and once for each tool."""
        if self.source.exists():
            return
        print(f"  writing {self.n:,} files of {self.size_bytes:,} bytes", flush=True)
        write_images(self.source, range(self.n), self.size_bytes)
        for tool in (self.sightloop, self.dvc, self.oxen):
            run(["cp", "-r", self.source, tool.data], cwd=self.folder)

    def take(self, tool: Tool, notes: Notes, number: str) -> None:
        """The first import of all files, into a new repository."""
        tool.begin_anew()
        notes.cost(number, tool.name, tool.take())
        self._taken.add(tool.root)

    def make_ready(self, tool: Tool) -> Tool:
        """The tool with all files in it."""
        self.write()
        if tool.root not in self._taken:
            tool.begin_anew()
            tool.take()
            self._taken.add(tool.root)
        return tool

    def add_files(self, tool: Tool) -> None:
        """A few new files in the tool's folder."""
        numbers = range(self._n_written, self._n_written + N_TOUCHED)
        self._n_written += N_TOUCHED
        write_images(tool.data, numbers, self.size_bytes)

    def change_files(self, tool: Tool) -> None:
        """Other bytes in one file of a hundred, spread over all folders."""
        write_images(tool.data, range(0, self.n, 100), self.size_bytes, version=1)

    def remove_if_short_of_space(self) -> None:
        """Give the space back, if anybody needs it before the end."""
        if self.folder.exists() and is_short_of_space(self.folder):
            print("  little space is left: removing files that are done with", flush=True)
            shutil.rmtree(self.folder)
            self._taken.clear()
