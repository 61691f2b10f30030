"""Whether an engine runs from a checkout, and from which: its commit is then part of the recipe.

An engine that is installed is told by its distribution's version. One that runs from a checkout
(an editable installation, or a folder on `PYTHONPATH`) may have been changed since.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from sightloop.kernel.code_state import repository_root
from sightloop.training.engines import Engine

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_OURS = "sightloop"


class Sources(NamedTuple):
    """The checkout of an engine."""

    root: Path | None
    """Top folder of its Git repository; None when the engine is installed."""
    packages: dict[str, str]
    """Top-level packages from there, with the folder that has to be on the path, from the root."""


def find_sources(engine: Engine) -> Sources:
    """Where the engine's package, and ours that it speaks with, lie in one checkout.

    Only an engine that is started as `... -m MODULE` can be looked up; what a script of a
    configured command imports is its own affair.
    """
    module = module_of(engine)
    root = None if module is None else _checkout_of(module)
    if module is None or root is None:
        return Sources(None, {})
    found = {name: _folder_of(name) for name in sorted({module, _OURS})}
    return Sources(
        root,
        {
            name: folder.relative_to(root).as_posix()
            for name, folder in found.items()
            if folder is not None and folder.is_relative_to(root)
        },
    )


def module_of(engine: Engine) -> str | None:
    """The top-level package that the engine's command runs; None when it runs none.

    >>> module_of(Engine(name="e", command=["python", "-m", "mine.engine"], version=""))
    'mine'
    """
    command = engine.command
    if "-m" not in command[:-1]:
        return None
    return command[command.index("-m") + 1].partition(".")[0]


def _checkout_of(module: str) -> Path | None:
    folder = _folder_of(module)
    return None if folder is None else repository_root(folder)


def _folder_of(module: str) -> Path | None:
    """The folder with the package, unless it is one of installed packages."""
    spec = find_spec(module)  # of a top-level package: finds it without importing it
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).resolve().parent.parent
    return None if _INSTALLED & set(folder.parts) else folder
