"""Files that clients send to a run or a logged model, and what lies in their folders."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx
from sightloop.kernel.errors import NotFound
from sightloop.kernel.workspace import Call, Workspace
from sightloop.tracking import artifacts as store
from sightloop.tracking.errors import BadName
from sightloop.tracking.logged_models import has_logged_model
from sightloop.tracking.store import look_up_run
from sightloop.tracking.values import RunArtifact

MAX_NAME_CHARACTERS = 1000


class ListedFile(NamedTuple):
    """A file, or a folder (whose size is None), by its path below the owner's artifacts."""

    path: str
    size_bytes: int | None


def check_artifact_name(name: str) -> str:
    """The name, if it stays below its folder.

    Raises:
        BadName: it is absolute, leads upwards, or is none.
    """
    path = PurePosixPath(name)
    is_plain = name == str(path) and not path.is_absolute() and ".." not in path.parts
    if not is_plain or not path.parts or "\0" in name or "\\" in name:
        raise BadName(what="artifact", name=name, problem="as a path it would lead elsewhere")
    if len(name) > MAX_NAME_CHARACTERS:
        problem = f"it has more than {MAX_NAME_CHARACTERS} characters"
        raise BadName(what="artifact", name=name, problem=problem)
    return name


def keep_artifact(
    workspace: Workspace, call: Call, *, owner: str, name: str, file: Path
) -> RunArtifact:
    """Keep the file's bytes as an artifact; the same name again points to the newer bytes.

    Raises:
        NotAllowed: the actor may not track.
        BadName: the name leads elsewhere.
        NotFound: there is no such run or logged model.
        DiskFull: no room; nothing was kept.
    """
    require(call.actor, Permission.TRAIN)
    check_artifact_name(name)
    with workspace.db.read() as tx:
        check_owner(tx, owner)
    with workspace.blobs.batch() as batch:
        digest = batch.put_file(file)
    size_bytes = file.stat().st_size
    workspace.db.write_together(
        lambda tx: store.record_artifact(tx, owner, name, digest=digest, size_bytes=size_bytes)
    )
    return RunArtifact(name=name, digest=digest, size_bytes=size_bytes)


def find_artifact(workspace: Workspace, call: Call, *, owner: str, name: str) -> RunArtifact:
    """The artifact of that name.

    Raises:
        NotAllowed: the actor may not read.
        NotFound: the owner has none of that name.
    """
    require(call.actor, Permission.READ)
    with workspace.db.read() as tx:
        found = store.find_artifact(tx, owner, name)
    if found is None:
        raise NotFound(what="artifact", name=f"{owner}/{name}"[:300])
    return found


def list_folder(workspace: Workspace, call: Call, *, owner: str, folder: str) -> list[ListedFile]:
    """Files and folders that lie directly in the folder; the empty name means the top.

    Raises:
        NotAllowed: the actor may not read.
        BadName: the folder leads elsewhere.
    """
    require(call.actor, Permission.READ)
    if folder:
        check_artifact_name(folder)
    with workspace.db.read() as tx:
        below = store.list_artifacts(tx, owner, below=folder)
    start = len(folder) + 1 if folder else 0
    found: dict[str, ListedFile] = {}
    for one in below:
        first, _, deeper = one.name[start:].partition("/")
        path = one.name[:start] + first
        found.setdefault(path, ListedFile(path, None if deeper else one.size_bytes))
    return list(found.values())


def remove_artifact(workspace: Workspace, call: Call, *, owner: str, name: str) -> None:
    """Forget the artifact, or everything in the folder of that name; blobs stay until `gc`.

    Raises:
        NotAllowed: the actor may not track.
    """
    require(call.actor, Permission.TRAIN)
    with workspace.db.write() as tx:
        names = [one.name for one in store.list_artifacts(tx, owner, below=name)]
        store.forget_artifacts(tx, owner, names=[name, *names])


def check_owner(tx: Tx, owner: str) -> None:
    """Return when there is such a run or logged model.

    Raises:
        NotFound: there is none.
    """
    if look_up_run(tx, owner) is None and not has_logged_model(tx, owner):
        raise NotFound(what="run or logged model", name=owner[:200])
