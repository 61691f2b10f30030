"""What the tracking client refuses, before a run begins, and what its forwarder meets."""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, Damaged, Refused, Unavailable


class NowhereToTrack(BadInput):
    """No server was named and no workspace lies around the working directory."""

    code = "TRACK-050"

    def __init__(self, *, folder: str) -> None:
        super().__init__(
            f"there is no place for the run: no server is named and no folder from {folder} "
            "upwards is a workspace; set SIGHTLOOP_SERVER and SIGHTLOOP_TOKEN, or run "
            "`sightloop init`",
            folder=folder,
        )


class NothingToAutolog(BadInput):
    """No library that could be tracked by itself has an integration installed."""

    code = "TRACK-056"

    def __init__(self) -> None:
        super().__init__(
            "nothing would be tracked: no integration is installed; for Ultralytics, install "
            "sightloop-ultralytics (AGPL-3.0), or track by hand with `sightloop.run`"
        )


class BadServerAddress(BadInput):
    """The address of the server is no http or https address."""

    code = "TRACK-051"

    def __init__(self, *, url: str) -> None:
        super().__init__(
            f"{url[:200]!r} is no address of a server; write it like http://host:8470",
            url=url[:200],
        )


class TargetAway(Unavailable):
    """The server or workspace cannot take anything now; everything stays in the spool."""

    code = "TRACK-052"

    def __init__(self, *, target: str, problem: str) -> None:
        super().__init__(
            f"{target} cannot take what was tracked ({problem}); it waits on this disk, and "
            "`sightloop runs sync` forwards it",
            target=target,
            problem=problem,
        )


class TargetRefused(Refused):
    """The server or workspace will never take this record; it is set aside."""

    code = "TRACK-053"

    def __init__(self, *, target: str, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"{target} refuses a record ({problem}); it is set aside, the rest goes on",
            target=target,
            problem=problem,
        )


class NoRoomForSpool(Unavailable):
    """The folder that holds runs until they are sent cannot be written."""

    code = "TRACK-055"

    def __init__(self, *, folder: str, problem: str) -> None:
        super().__init__(
            f"no run can be kept in {folder} ({problem}); free some space there, or name another "
            "folder in SIGHTLOOP_SPOOL",
            folder=folder,
            problem=problem,
        )


class SpoolDamaged(Damaged):
    """The first line of a spool is not what was written: nobody knows whose run this is."""

    code = "TRACK-054"

    def __init__(self, *, path: str, problem: str) -> None:
        super().__init__(
            f"the spool {path} cannot be read ({problem}); it is left as it is - restore it, or "
            "remove its folder to give the run up",
            path=path,
            problem=problem,
        )
