"""What can go wrong with devices, rollouts and the update repository. Codes start with FLEET-."""

from __future__ import annotations

from sightloop.kernel.errors import BadInput, Conflict, NotAllowed, Refused


class BadFleetName(BadInput):
    """A device, ring, site, slot or stream needs a name that fits a line and a path."""

    code = "FLEET-001"

    def __init__(self, *, what: str, name: str) -> None:
        super().__init__(
            f"{name[:80]!r} cannot name a {what}; use 1 to 63 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit",
            what=what,
            name=name[:80],
        )


class NoSlots(BadInput):
    """A device without a slot could never run anything."""

    code = "FLEET-002"

    def __init__(self) -> None:
        super().__init__("the enrolment names no slot; give at least one as SLOT=MODEL")


class BadStreamPolicy(BadInput):
    """A rate that is no probability, or a limit that would never close a window."""

    code = "FLEET-003"

    def __init__(self, *, device: str, stream: str, problem: str) -> None:
        super().__init__(
            f"stream {stream} of {device} cannot have this policy: {problem}",
            device=device,
            stream=stream,
            problem=problem,
        )


class BadRings(BadInput):
    """The rings of a rollout leave someone out, or name a ring twice."""

    code = "FLEET-004"

    def __init__(self, *, rings: list[str], problem: str) -> None:
        super().__init__(f"cannot roll out over the rings {rings}: {problem}", rings=rings)


class SpeaksForAnother(NotAllowed):
    """A device used its token to speak in another device's name."""

    code = "FLEET-010"

    def __init__(self, *, actor: str, device: str) -> None:
        super().__init__(actor=actor, role="device", permission=f"speak for device {device}")


class DeviceNameTaken(Refused):
    """A device of that name is in use."""

    code = "FLEET-020"

    def __init__(self, *, name: str, device: str) -> None:
        super().__init__(
            f"the name {name!r} belongs to {device}, which has checked in; "
            "choose another name for the new device",
            name=name,
            device=device,
        )


class NotSigned(Refused):
    """Devices refuse a version that its owner has not signed, so it is not sent to them."""

    code = "FLEET-030"

    def __init__(self, *, version: str) -> None:
        super().__init__(
            f"{version} is not signed by its owner; run `sightloop sign {version}` first",
            version=version,
        )


class RolloutUnderWay(Refused):
    """A model has one rollout at a time."""

    code = "FLEET-031"

    def __init__(self, *, model: str, rollout: str) -> None:
        super().__init__(
            f"rollout {rollout} of {model} is not over; wait for its end, or stop it with "
            f"`sightloop rollout abort {rollout}`",
            model=model,
            rollout=rollout,
        )


class RolloutNot(Refused):
    """The rollout is not in a state in which this can be done."""

    code = "FLEET-032"

    def __init__(self, *, rollout: str, state: str, wanted: str) -> None:
        super().__init__(
            f"rollout {rollout} cannot be {wanted}: it is {state}",
            rollout=rollout,
            state=state,
            wanted=wanted,
        )


class SlotsMoved(Conflict):
    """A slot got another assignment while a rollout was deciding about it."""

    code = "FLEET-033"

    def __init__(self, *, rollout: str, model: str) -> None:
        super().__init__(
            f"rollout {rollout} did not move: a slot of {model} was assigned something else "
            "meanwhile; repeat, and it decides on what is true then",
            rollout=rollout,
            model=model,
        )


class RepositoryMissing(Refused):
    """This workspace has no update repository yet."""

    code = "FLEET-040"

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"there is no update repository at {path}; run `sightloop init` in this workspace",
            path=path,
        )


class RepositoryKeyMissing(Refused):
    """A key that must sign now is not on this host."""

    code = "FLEET-041"

    def __init__(self, *, role: str, path: str) -> None:
        super().__init__(
            f"the update repository's {role} key is not at {path}; publish where that key is kept, "
            "or restore the file - devices go on running what they run",
            role=role,
            path=path,
        )


class UnknownKeyRole(BadInput):
    """There is no key of that name to replace."""

    code = "FLEET-042"

    def __init__(self, *, role: str, roles: list[str]) -> None:
        super().__init__(
            f"no key is called {role!r}; there are {', '.join(roles)}", role=role, roles=roles
        )


class BadThreshold(BadInput):
    """So many signatures can never come together, or the keys are too many."""

    code = "FLEET-043"

    def __init__(self, *, role: str, n_keys: int, threshold: int) -> None:
        super().__init__(
            f"{role} cannot have {n_keys} keys of which {threshold} must sign; "
            "root takes 1 to 9 keys and a threshold up to their number, every other role has one",
            role=role,
            n_keys=n_keys,
            threshold=threshold,
        )


class FolderNotEmpty(Refused):
    """Updates are written into a folder of their own, so that nothing of yours is overwritten."""

    code = "FLEET-044"

    def __init__(self, *, folder: str) -> None:
        super().__init__(
            f"{folder} holds other files; name an empty folder, or one of an earlier export",
            folder=folder,
        )


class BadRelease(BadInput):
    """The wheels cannot become a release of the agent."""

    code = "FLEET-045"

    def __init__(self, *, wheel: str, problem: str) -> None:
        super().__init__(
            f"wheel {wheel!r} cannot be released: {problem}; build it with `pip wheel`",
            wheel=wheel,
            problem=problem,
        )
