"""`sightloop data remote`, `push`, `fetch`, `pull`, `clone`: data sets in other places."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sightloop.cli.command import Session, command
from sightloop.kernel.config import STATE_FOLDER

if TYPE_CHECKING:
    from sightloop.datasets.remotes.naming import AddRemote
    from sightloop.datasets.remotes.pulling import Pull, Pulled

EndpointOption = Annotated[
    str, typer.Option(help="Where a server that speaks S3 answers, when it is not AWS.")
]
RegionOption = Annotated[str, typer.Option(help="The bucket's region.")]
ClassOption = Annotated[
    str, typer.Option("--class", help="Only images with an object of this class.")
]
SplitOption = Annotated[
    str, typer.Option(help="Only images of train, val, test, audit or quarantined.")
]
SliceOption = Annotated[
    list[str] | None, typer.Option("--slice", help="Only FIELD=VALUE; may be repeated.")
]
TagOption = Annotated[str, typer.Option(help="Only images with this tag.")]
LaneOption = Annotated[str, typer.Option(help="Only images of this lane.")]


def register(data: typer.Typer) -> None:
    """Add the commands to `sightloop data`."""
    command(data, "remote")(remote)
    command(data, "push")(push)
    command(data, "fetch")(fetch)
    command(data, "pull")(pull)
    command(data, "clone")(clone)


def remote(
    session: Session,
    *,
    action: Annotated[str, typer.Argument(help="add or remove; none lists them.")] = "",
    name: Annotated[str, typer.Argument(help="What to call it, such as origin.")] = "",
    url: Annotated[
        str, typer.Argument(help="A folder, s3://BUCKET/PREFIX, gs://... or az://...")
    ] = "",
    endpoint: EndpointOption = "",
    region: RegionOption = "",
) -> None:
    """List remotes; `add NAME URL` or `remove NAME`.

    Credentials are never given here: they come from the environment variables of the cloud.
    """
    from sightloop.cli.views import data_remotes as views
    from sightloop.datasets.remotes.naming import AddRemote, KnownRemote, RemoveRemote
    from sightloop.server.operations import Nothing

    if action not in ("", "add", "remove") or bool(action) != bool(name):
        raise typer.BadParameter("say `remote`, `remote add NAME URL` or `remote remove NAME`")
    if action == "add":
        request = AddRemote(name=name, url=_absolute(url), endpoint=endpoint, region=region)
        session.call("data.remote_add", request, KnownRemote)
    elif action == "remove":
        session.call("data.remote_remove", RemoveRemote(name=name), KnownRemote)
    session.print(session.call("data.remotes", Nothing(), list[KnownRemote]), views.remotes)


def push(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch or tag.")] = "main",
    to: Annotated[str, typer.Option(help="The remote.")] = "origin",
) -> None:
    """Send a branch or tag to a remote: what it lacks, and nothing twice."""
    from sightloop.cli.views import data_remotes as views
    from sightloop.datasets.remotes.pushing import Push, Pushed

    pushed = session.call("data.push", Push(ref=ref, remote=to), Pushed)
    session.print(pushed, views.pushed)


def fetch(
    session: Session,
    *,
    source: Annotated[str, typer.Option("--from", help="The remote.")] = "origin",
) -> None:
    """Bring a remote's branches here as REMOTE/BRANCH, labels only; ours do not move."""
    from sightloop.cli.views import data_remotes as views
    from sightloop.datasets.remotes.fetching import Fetch, Fetched

    session.print(session.call("data.fetch", Fetch(remote=source), Fetched), views.fetched)


def pull(
    session: Session,
    *,
    ref: Annotated[str, typer.Argument(help="Branch or tag of the remote.")] = "main",
    source: Annotated[str, typer.Option("--from", help="The remote.")] = "origin",
    class_name: ClassOption = "",
    split: SplitOption = "",
    slice_: SliceOption = None,
    tag: TagOption = "",
    lane: LaneOption = "",
) -> None:
    """Fetch, then the images, then move our branch forward.

    With a filter all labels come but only the images that fit; another pull fetches the rest.
    """
    from sightloop.cli.views import data_remotes as views
    from sightloop.datasets.remotes.pulling import Pull, Pulled

    request = Pull(
        ref=ref,
        remote=source,
        class_name=class_name,
        split=split,
        slices=slice_ or [],
        tag=tag,
        lane=lane,
    )
    session.print(session.call("data.pull", request, Pulled), views.pulled)


def clone(
    session: Session,
    *,
    url: Annotated[str, typer.Argument(help="A folder, s3://BUCKET/PREFIX, gs://... or az://...")],
    folder: Annotated[Path, typer.Argument(help="The new workspace; new or empty.")],
    ref: Annotated[str, typer.Option("--branch", help="Branch or tag to pull.")] = "main",
    class_name: ClassOption = "",
    split: SplitOption = "",
    slice_: SliceOption = None,
    tag: TagOption = "",
    lane: LaneOption = "",
    endpoint: EndpointOption = "",
    region: RegionOption = "",
) -> None:
    """Make a workspace of a remote's data set; the remote is its origin.

    An interrupted clone is simply repeated.
    """
    from sightloop.cli.views import data_remotes as views
    from sightloop.datasets.remotes.naming import AddRemote
    from sightloop.datasets.remotes.pulling import Pull

    origin = AddRemote(name="origin", url=_absolute(url), endpoint=endpoint, region=region)
    request = Pull(
        ref=ref,
        class_name=class_name,
        split=split,
        slices=slice_ or [],
        tag=tag,
        lane=lane,
    )
    session.print(_cloned(session, folder, origin, request), views.pulled)


def _cloned(session: Session, folder: Path, origin: AddRemote, request: Pull) -> Pulled:
    """Pull into the workspace in the folder, which is made unless an earlier try made it.

    Raises:
        FolderInUse: the folder holds something else.
    """
    from sightloop.datasets.errors import FolderInUse
    from sightloop.datasets.remotes.naming import KnownRemote
    from sightloop.datasets.remotes.pulling import Pulled
    from sightloop.kernel.config import CONFIG_NAME
    from sightloop.wiring import create_workspace, ensure_token

    is_workspace = (folder / CONFIG_NAME).exists()
    if not is_workspace and folder.exists() and not (folder.is_dir() and _is_empty(folder)):
        raise FolderInUse(folder=str(folder))
    ensure_token(create_workspace(folder))
    inside = Session(folder, "", session.as_json)
    # A workspace with another origin is refused here: it is no clone of this remote.
    inside.call("data.remote_add", origin, KnownRemote)
    return inside.call("data.pull", request, Pulled)


def _is_empty(folder: Path) -> bool:
    # What a clone that died early leaves: its state, but no settings yet.
    return all(one.name == STATE_FOLDER for one in folder.iterdir())


def _absolute(url: str) -> str:
    """A folder as seen from here; a server may run elsewhere."""
    return url if "://" in url or not url else str(Path(url).expanduser().resolve())
