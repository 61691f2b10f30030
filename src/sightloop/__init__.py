"""Sightloop keeps vision models right after they ship.

Importing the package loads nothing; the rooms of the house are its sub-packages, in the order of
`docs/architecture.md`. `sightloop.open` gives the datasets of a workspace:

    import sightloop

    with sightloop.open(".") as ds:
        ds.import_folder("photos")
        print(ds.status("photos"))
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # not from typing: importing that would take longer than all the rest
    import os

    from sightloop.dataset import Dataset

__version__ = "0.1.0"
__all__ = ["__version__", "open"]


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
