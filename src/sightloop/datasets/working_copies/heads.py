"""Where a branch is, asked of a SQLite file directly.

`data status` takes 0.1 s in all; loading the workspace's database layer would take 0.4 s more. The
query is that of `store.find_ref`; a test holds the two against each other.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sightloop.kernel.digests import Digest


def quick_head(database: Path, branch: str) -> Digest | None:
    """The commit the branch is at; None when there is no such branch.

    Raises:
        sqlite3.Error: the file is no database of ours; ask the workspace, it says why.
    """
    # Read-only: a look at the status must not make a database.
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as tx:
        row = tx.execute(
            "SELECT commit_digest FROM dataset_refs WHERE kind = 'branch' AND name = ?", (branch,)
        ).fetchone()
    return None if row is None else Digest(row[0])
