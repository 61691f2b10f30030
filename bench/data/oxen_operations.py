"""One operation of Oxen, timed inside its own process: `-m bench.data.oxen_operations WHAT ...`.

Runs in the peers' environment. Oxen comes as a Python package without a command line, so what is
timed is the operation alone, without loading Python or the package.
"""

from __future__ import annotations

import sys

import oxen
from oxen.user import config_user

from bench.data.stopwatch import say, timed


def main() -> None:
    what, *words = sys.argv[1:]
    repository = oxen.Repo(".")
    operations = {
        "begin": repository.init,
        "take": lambda: (repository.add(words[0]), repository.commit("more")),
        "status": repository.status,
        "branch": lambda: repository.checkout(words[0], create=True),
        "switch": lambda: repository.checkout(words[0]),
        "diff": lambda: _diff(repository, *words),
    }
    if what == "begin":
        config_user("bench", "bench@example.org")
    say(timed(operations[what]))


def _diff(repository: oxen.Repo, before: str, after: str) -> oxen.diff.Diff:
    """Of the whole tree. The package computes it and, unlike one of a file, cannot show it."""
    heads = {one.name: one.commit_id for one in repository.branches()}
    return oxen.diff(".", repo_dir=".", revision_left=heads[before], revision_right=heads[after])


if __name__ == "__main__":
    main()
