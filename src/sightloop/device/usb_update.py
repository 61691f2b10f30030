"""Updating from a folder that somebody carried to the device, with the server's verification.

The folder's metadata starts from the root received at enrolment, an old folder is a rollback and
an expired one is refused; a folder can only bring what the model's owner signed and what the
server assigned to this very device.

A running agent does the work itself when it finds a request in its home folder: it alone knows
what its slots run. Without one the command does it, and the agent starts with the result.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import msgspec

from sightloop.contracts.decode import decode, encode
from sightloop.device.bundle_store import BundleStore
from sightloop.device.errors import HomeInUse, NotEnrolled, UpdateNotTaken
from sightloop.device.home import Home, open_home
from sightloop.device.intake import Intake
from sightloop.device.log import Log
from sightloop.device.settings import settings_for
from sightloop.device.state import StateFile
from sightloop.device.update_source import FolderSource
from sightloop.kernel.clock import Clock
from sightloop.kernel.errors import SightloopError
from sightloop.kernel.files import write_atomic

LOOK_EVERY_S = 0.2


class TakenIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder brought."""

    format: Literal["sightloop.taken-in/1"] = "sightloop.taken-in/1"
    request: str = ""
    accepted: list[str] = []
    """Slots that shall run what the folder assigns them, `SLOT MODEL@VERSION`."""
    n_revoked: int = 0
    """Bundles this device must not run, all told."""
    problems: list[str] = []
    """Why something in the folder was not taken."""


class UpdateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks the running agent to look into a folder."""

    format: Literal["sightloop.update-request/1"] = "sightloop.update-request/1"
    id: str
    folder: str


def take_in(intake: Intake, state: StateFile, folder: Path, *, device: str) -> TakenIn:
    """Verify the folder and keep what it brings; nothing is started here.

    Raises:
        NoUpdateFolder, WrongFormat: it carries no updates.
        MetadataRefused: it is expired, older than what was seen, or wrongly signed.
        ServerAway, ServerRefused: the medium is not readable, or incomplete.
        DiskFull: no room.
    """
    source = FolderSource(folder)
    source.read_note()
    trusted = intake.look(source)
    accepted, problems = [], []
    for signed in source.updates_for(device).assignments:
        try:
            slot = intake.accept(trusted, signed)
            wanted = state.now.slot(slot).accepted
            assert wanted is not None, "it was accepted just now"
            if wanted.bundle not in state.now.revoked:
                intake.fetch(trusted, source, wanted)
            accepted.append(f"{slot} {wanted.model}@{wanted.version}")
        except SightloopError as error:
            problems.append(f"{error.code} {error.message}")
    return TakenIn(accepted=accepted, n_revoked=len(state.now.revoked), problems=problems)


def update_from(home_folder: Path, folder: Path, *, clock: Clock, timeout_s: float) -> TakenIn:
    """Bring the device up to date from the folder, whether its agent runs or not.

    Raises:
        NotEnrolled: there is no device in the home folder.
        UpdateNotTaken: the running agent did not answer in time, or could not use the folder.
        As `take_in`, when no agent runs.
    """
    try:
        with open_home(home_folder) as home:
            return _take_in_alone(home, folder, clock)
    except HomeInUse:
        return _ask_agent(Home(home_folder), folder, clock, timeout_s)


def answer_request(home: Home, intake: Intake, state: StateFile, *, device: str) -> bool:
    """Do what a request in the home folder asks, and write down the result; False without one."""
    if not home.update_request_file.exists():
        return False
    request = decode(home.update_request_file.read_bytes(), UpdateRequest, what="update request")
    try:
        taken = take_in(intake, state, Path(request.folder), device=device)
    except SightloopError as error:
        taken = TakenIn(problems=[f"{error.code} {error.message}"])
    taken = msgspec.structs.replace(taken, request=request.id)
    write_atomic(home.update_result_file, encode(taken))
    home.update_request_file.unlink(missing_ok=True)
    return True


def _take_in_alone(home: Home, folder: Path, clock: Clock) -> TakenIn:
    identity = home.read_identity()
    if identity is None:
        raise NotEnrolled(home=str(home.root))
    state = StateFile(home.state_file)
    intake = Intake(
        home,
        device=identity.device,
        slots=settings_for(home.root, {}).slots(),
        state=state,
        store=BundleStore(home.bundles),
        log=Log(clock),
    )
    return take_in(intake, state, folder, device=identity.device)


def _ask_agent(home: Home, folder: Path, clock: Clock, timeout_s: float) -> TakenIn:
    request = UpdateRequest(id=f"{clock.now_ms()}", folder=str(folder.absolute()))
    home.update_result_file.unlink(missing_ok=True)
    write_atomic(home.update_request_file, encode(request), mode=0o600)
    deadline_s = clock.monotonic_s() + timeout_s
    while clock.monotonic_s() < deadline_s:
        if home.update_result_file.exists():
            content = home.update_result_file.read_bytes()
            taken = decode(content, TakenIn, what=str(home.update_result_file))
            if taken.request == request.id:
                return taken
        time.sleep(LOOK_EVERY_S)
    home.update_request_file.unlink(missing_ok=True)
    raise UpdateNotTaken(home=str(home.root), timeout_s=timeout_s)
