"""Sightloop keeps vision models right after they ship.

Importing the package loads nothing; the rooms of the house are its sub-packages, in the order of
`docs/architecture.md`. `sightloop.open` gives the datasets of a workspace, `sightloop.run` tracks
what a program of yours does, and `sightloop.autolog` makes libraries do it by themselves:

    import sightloop

    with sightloop.open(".") as ds:
        ds.import_folder("photos")
        print(ds.status("photos"))

    with sightloop.run("pcb", params={"lr": 0.01}) as run:
        for step in range(100):
            run.log(loss=1 / (step + 1), step=step)
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # not from typing: importing that would take longer than all the rest
    import os
    from collections.abc import Mapping

    from sightloop.client.runs import Run
    from sightloop.dataset import Dataset

__version__ = "0.1.0"
__all__ = ["__version__", "autolog", "open", "run"]


def open(path: "str | os.PathLike[str]" = ".", *, create: bool = False) -> "Dataset":  # noqa: A001
    """The datasets of the workspace in this folder; with `create`, one is made if there is none.

    Raises:
        NotFound: the folder is no workspace, and `create` is not set.
        ConfigError: its settings cannot be used.
        WorkspaceTooNew: a later Sightloop wrote its database.
    """
    # The database layer takes 0.4 s to load; whoever only asks for the version need not wait.
    from sightloop.dataset import open_dataset

    return open_dataset(path, create=create)


def run(
    experiment: str = "default",
    *,
    name: str = "",
    params: "Mapping[str, object] | None" = None,
    tags: "Mapping[str, object] | None" = None,
    server: "str | None" = None,
    workspace: "str | os.PathLike[str] | None" = None,
    capture: bool = True,
) -> "Run":
    """A run that this program tracks itself; use it in a `with` block, or call its `finish`.

    It is sent to `server`, or kept in `workspace`; without either, to the server named in
    SIGHTLOOP_SERVER (with the token in SIGHTLOOP_TOKEN), or kept in the workspace around the
    working directory. Nothing is lost while a server is away: it waits in a folder of this user.

    Args:
        experiment: what runs are compared within.
        name: of the run; made from its id when empty.
        params: what the run is given.
        tags: what is said of it.
        server: a server's address.
        workspace: a workspace's folder.
        capture: whether Git's state, command, environment and the machine's load are recorded.

    Raises:
        NowhereToTrack: there is neither a server nor a workspace.
        BadServerAddress: the server's address is none.
        NoRoomForSpool: the folder in which runs wait cannot be written.
    """
    from sightloop.tracked import begin

    return begin(
        experiment,
        name=name,
        params=params,
        tags=tags,
        server=server,
        workspace=workspace,
        capture=capture,
    )


def autolog() -> "list[str]":
    """Make every library that has an integration installed track its trainings; returns which.

    Raises:
        NothingToAutolog: no integration is installed.
    """
    from sightloop.tracked import install_autolog

    return install_autolog()
