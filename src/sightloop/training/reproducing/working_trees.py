"""A clean working tree of the code that a run recorded: its commit, and its patch upon it.

It is a shared clone in the scratch folder, so the repository it comes from is only read, and
nothing has to be tidied up in it after a crash.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sightloop.kernel.code_state import repository_root
from sightloop.training.reproducing.errors import PatchRefused

TIMEOUT_S = 600.0
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_LFS_SKIP_SMUDGE": "0"}


def find_repository(commit: str, places: Sequence[Path | None]) -> Path | None:
    """The first repository around one of these folders that has the commit; None if none has."""
    for place in places:
        root = None if place is None else repository_root(place)
        if (
            root is not None
            and _git(root, "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0
        ):
            return root
    return None


def make_working_tree(repository: Path, commit: str, *, patch: bytes | None, folder: Path) -> None:
    """Make `folder`, which must not exist, the tree of that commit with the patch applied.

    Raises:
        PatchRefused: the commit or the patch cannot be laid out; Git's last words say why.
    """
    _require(
        _git(repository, "clone", "--quiet", "--shared", "--no-checkout", ".", str(folder)), commit
    )
    _require(_git(folder, "checkout", "--quiet", "--detach", commit), commit)
    if patch is not None:
        _require(_git(folder, "apply", "--whitespace=nowarn", "-", given=patch), commit)


def _require(done: subprocess.CompletedProcess[bytes], commit: str) -> None:
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise PatchRefused(commit=commit, problem=words[-1][:200] if words else "Git says nothing")


def _git(
    folder: Path, *arguments: str, given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(
            command,
            input=given,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
            env=os.environ | _QUIET,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return subprocess.CompletedProcess(command, 1, b"", str(error).encode())
