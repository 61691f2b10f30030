"""Which code a run was started from: the commit of the working directory, and what had changed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec

PATCH_LIMIT_BYTES = 4 << 20
"""A larger difference is data or generated; keeping it would not help anyone to repeat the run."""
TIMEOUT_S = 15.0

# Whatever somebody's settings say of how differences are shown: all of the repository, in a form
# that `git apply` takes.
_PLAIN_PATCH = (
    *("--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--submodule=short", "-O/dev/null"),
)


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """A commit and the changes to its tracked files; both None outside a repository."""

    commit: str | None
    patch: bytes | None
    dirty: bool


def capture_code(folder: Path) -> Code:
    """The state of the Git repository this folder belongs to, which is only read.

    The patch is None when nothing tracked has changed, when it exceeds `PATCH_LIMIT_BYTES`, and
    when Git does not make one; `dirty` tells the difference. Content of untracked files is not
    kept.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return Code(commit=None, patch=None, dirty=False)
    patch = _git(folder, "diff", "HEAD", *_PLAIN_PATCH)
    status = _git(folder, "status", "--porcelain", "--untracked-files=normal")
    is_clean = patch == b"" and status == b""  # None is no answer, which proves nothing
    return Code(
        commit=commit.decode().strip(),
        patch=patch if patch and len(patch) <= PATCH_LIMIT_BYTES else None,
        dirty=not is_clean,
    )


def repository_root(folder: Path) -> Path | None:
    """The top folder of the Git repository that this one belongs to; None outside of any."""
    root = _git(folder, "rev-parse", "--show-toplevel")
    return None if not root else Path(root.decode().rstrip("\n"))


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What Git prints; None when there is no Git, no repository, or no answer in time."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            check=True,
            timeout=TIMEOUT_S,
            # Without it `status` refreshes the index: a write to somebody else's repository.
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
