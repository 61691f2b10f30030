"""What can go wrong with working copies, by what the caller can do about it."""

from __future__ import annotations

from sightloop.kernel.errors import Conflict, NotFound, Refused, SightloopError, Unavailable

N_NAMED = 20


class NoWorkingCopy(NotFound):
    """The folder was neither imported nor checked out."""

    code = "DATA-070"

    def __init__(self, *, folder: str) -> None:
        super().__init__(
            what="working copy",
            name=folder or "(none was named, and the workspace has none)",
            hint="`sightloop data import FOLDER` or `data checkout REF FOLDER` makes one",
        )


class NotOneCopy(NotFound):
    """There are several working copies and the command does not say which."""

    code = "DATA-071"

    def __init__(self, *, folders: list[str]) -> None:
        SightloopError.__init__(
            self,
            f"{len(folders)} folders are working copies; name one: {named(folders)}",
            folders=folders[:N_NAMED],
        )


class LocalChanges(Refused):
    """Files in the way differ from what the copy's commit has; nothing was overwritten."""

    code = "DATA-072"

    def __init__(self, *, folder: str, files: list[str]) -> None:
        super().__init__(
            f"{folder} has changes that would be lost: {named(files)}; nothing was written - "
            "`sightloop data commit` keeps them, --force gives them up",
            folder=folder,
            files=files[:N_NAMED],
            n_files=len(files),
        )


class CopyBehind(Conflict):
    """The branch moved on since the working copy was made or committed from."""

    code = "DATA-073"

    def __init__(self, *, folder: str, branch: str, base: str, head: str) -> None:
        super().__init__(
            f"branch {branch} is at {head}, the copy {folder} is of {base}; nothing was committed "
            f"and the files are as they were - `sightloop data commit --branch NAME` puts them on "
            f"a branch of their own, which can be merged into {branch}",
            folder=folder,
            branch=branch,
            base=base,
            head=head,
        )


class UnfinishedCheckout(Refused):
    """A checkout was interrupted: the folder is partly one commit and partly another."""

    code = "DATA-074"

    def __init__(self, *, folder: str, commit: str) -> None:
        super().__init__(
            f"a checkout of {commit} into {folder} was interrupted; run it again first: "
            f"`sightloop data checkout {commit} {folder}`",
            folder=folder,
            commit=commit,
        )


class NoBranch(Refused):
    """The copy is of a tag or digest: no branch can move with a commit."""

    code = "DATA-075"

    def __init__(self, *, folder: str) -> None:
        super().__init__(
            f"{folder} is a copy of a commit, not of a branch; commit with --branch NAME",
            folder=folder,
        )


class FilesRefused(Refused):
    """Changed files cannot be committed as they are; nothing was."""

    code = "DATA-076"

    def __init__(self, *, folder: str, problems: list[str], is_strict: bool) -> None:
        rest = ", or commit everything else without --strict" if is_strict else ""
        lines = "".join(f"\n  {line}" for line in problems[:N_NAMED])
        more = len(problems) - N_NAMED
        super().__init__(
            f"{len(problems)} {'file' if len(problems) == 1 else 'files'} of {folder} cannot be "
            f"committed, nothing was:{lines}"
            + (f"\n  ... and {more} more" if more > 0 else "")
            + f"\nmend or remove them{rest}",
            folder=folder,
            problems=problems[:N_NAMED],
            n_problems=len(problems),
        )


class OtherFormat(Refused):
    """A working copy keeps the format and the query that it began with."""

    code = "DATA-077"

    def __init__(self, *, folder: str, has: str, wanted: str) -> None:
        super().__init__(
            f"{folder} is a copy of {has}, not of {wanted}; check out into a new folder",
            folder=folder,
            has=has,
            wanted=wanted,
        )


class CopyBusy(Unavailable):
    """Another process is committing or switching this very folder."""

    code = "DATA-078"

    def __init__(self, *, folder: str) -> None:
        super().__init__(
            f"another process is working on the copy {folder}; retry when it is done",
            folder=folder,
        )


def named(files: list[str]) -> str:
    """The first files of a list, and how many more there are.

    >>> named(["a", "b"])
    'a, b'
    """
    more = len(files) - N_NAMED
    return ", ".join(files[:N_NAMED]) + (f" and {more} more" if more > 0 else "")
