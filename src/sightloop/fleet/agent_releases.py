"""Releases of the agent itself: signed by a key of their own, assigned to devices one by one.

The key `agents` belongs where owners' keys do: whoever has it runs programs on every device.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    delete,
    insert,
    select,
)
from tuf.api.metadata import Metadata, TargetFile, Targets  # type: ignore[attr-defined]

from sightloop.contracts.agent_release import AGENT_SLOT, AgentRelease, release_path
from sightloop.contracts.assignment import SignedAssignment
from sightloop.contracts.bundle import BundleFile
from sightloop.contracts.decode import encode
from sightloop.fleet import store
from sightloop.fleet.assignments import open_assignment_signer
from sightloop.fleet.errors import BadRelease
from sightloop.fleet.publication import AGENTS
from sightloop.fleet.values import DeviceId, Slot
from sightloop.kernel.actors import Permission, require
from sightloop.kernel.database import Tx, metadata
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import NotFound
from sightloop.kernel.events import EventKind, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.registry.keys import ensure_signer
from sightloop.registry.signing import signed_before
from sightloop.registry.update_metadata import (
    Lifetimes,
    MetadataFolder,
    expiry,
    update_metadata_folder,
)

AGENT_RELEASED = EventKind("agent.released")
AGENT_ASSIGNED = EventKind("agent.assigned")

_releases = Table(
    "agent_releases",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("version", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)
_files = Table(
    "agent_release_files",
    metadata,
    Column("digest", Text, primary_key=True),
)
_assigned = Table(
    "agent_assignments",
    metadata,
    Column("device", ForeignKey("devices.id"), primary_key=True),
    Column("counter", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("signature", Text, nullable=False),
)


class ReleaseAgent(msgspec.Struct, frozen=True, kw_only=True):
    """Sign wheels as the next release of the agent."""

    version: str
    wheels: list[str]
    """Paths on this host: the agent's own wheel, and those of what it needs anew."""


class AgentReleased(msgspec.Struct, frozen=True, kw_only=True):
    """A release devices may be assigned."""

    number: int
    version: str
    digest: Digest


class AssignAgent(msgspec.Struct, frozen=True, kw_only=True):
    """Give devices a release; of a ring, or those named."""

    number: int
    ring: str | None = None
    devices: list[str] = []


class AgentAssigned(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets it with their next check-in, if their agent can replace itself."""

    number: int
    devices: list[str]


def release_agent(workspace: Workspace, call: Call, request: ReleaseAgent) -> AgentReleased:
    """The release is signed; the next publication shows it to devices.

    Raises:
        NotAllowed: the actor may not sign.
        BadRelease: no wheel is named, or one cannot be read.
        UpdateMetadataDamaged: what was signed before is not what is there now.
    """
    require(call.actor, Permission.SIGN)
    files = _stored(workspace, request.wheels)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        number = len(tx.execute(select(_releases.c.number)).all()) + 1
        manifest = AgentRelease(
            version=request.version, number=number, files=files, created_at_ms=now_ms
        )
        content = encode(manifest)
        digest = workspace.blobs.put(content)
        row = {"number": number, "digest": digest, "version": request.version}
        tx.execute(insert(_releases).values(row | {"created_at_ms": now_ms}))
        for file in files:
            tx.execute(delete(_files).where(_files.c.digest == file.digest))
            tx.execute(insert(_files).values(digest=file.digest))
        data = {"number": number, "version": request.version, "release": digest}
        tell(tx, AGENT_RELEASED, str(number), by=call.actor, at_ms=now_ms, data=data)
    _sign(workspace, digest, content)
    return AgentReleased(number=number, version=request.version, digest=digest)


def assign_agent(workspace: Workspace, call: Call, request: AssignAgent) -> AgentAssigned:
    """The devices are told with their next check-in; giving an older release takes one back.

    Raises:
        NotAllowed: the actor may not release.
        NotFound: there is no such release or device.
        RepositoryKeyMissing: the online key is elsewhere.
    """
    require(call.actor, Permission.RELEASE)
    signer = open_assignment_signer(workspace)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        found = tx.execute(select(_releases).where(_releases.c.number == request.number)).first()
        if found is None:
            raise NotFound(what="agent release", name=str(request.number))
        wanted = [store.get_device(tx, name) for name in request.devices]
        if not request.devices:
            wanted = [one for one in store.all_devices(tx) if request.ring in (None, one.ring)]
        for device in wanted:
            counter = _counter(tx, device.id)
            place = Slot(device=device.id, slot=AGENT_SLOT, model=AGENT_SLOT, counter=counter)
            slot = signer.assign(
                place, number=request.number, bundle=Digest(found.digest), now_ms=now_ms
            )
            _put(tx, slot)
        data = {"number": request.number, "devices": [device.id for device in wanted]}
        tell(tx, AGENT_ASSIGNED, str(request.number), by=call.actor, at_ms=now_ms, data=data)
    return AgentAssigned(number=request.number, devices=[device.name for device in wanted])


def agent_assignment_of(tx: Tx, device: str) -> SignedAssignment | None:
    """Which agent the device should run; None leaves the one it has."""
    row = tx.execute(select(_assigned).where(_assigned.c.device == device)).first()
    return None if row is None else SignedAssignment(row.payload, row.key_id, row.signature)


def forget_agent_of(tx: Tx, device: str) -> None:
    """The device is assigned no agent any more: it is removed."""
    tx.execute(delete(_assigned).where(_assigned.c.device == device))


def sign_agent_assignments_again(workspace: Workspace) -> int:
    """After the online key was replaced: every assignment once more, one counter up."""
    signer = open_assignment_signer(workspace)
    now_ms = workspace.clock.now_ms()
    with workspace.db.write() as tx:
        query = select(_assigned, _releases.c.digest).join(
            _releases, _releases.c.number == _assigned.c.number
        )
        rows = tx.execute(query.where(_assigned.c.key_id != signer.key_id)).all()
        for row in rows:
            place = Slot(
                device=DeviceId(row.device),
                slot=AGENT_SLOT,
                model=AGENT_SLOT,
                counter=row.counter,
            )
            number, bundle = row.number, Digest(row.digest)
            _put(tx, signer.assign(place, number=number, bundle=bundle, now_ms=now_ms))
    return len(rows)


def is_agent_blob(tx: Tx, digest: Digest) -> bool:
    """Whether it is a wheel of a release."""
    return tx.execute(select(_files).where(_files.c.digest == digest)).first() is not None


def is_agent_release(tx: Tx, digest: Digest) -> bool:
    """Whether it is the manifest of a release."""
    return tx.execute(select(_releases).where(_releases.c.digest == digest)).first() is not None


def _stored(workspace: Workspace, wheels: list[str]) -> list[BundleFile]:
    if not wheels:
        raise BadRelease(wheel="", problem="no wheel is named")
    files = []
    for name in wheels:
        path = Path(name)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadRelease(wheel=name, problem=str(error)) from error
        files.append(BundleFile(path.name, workspace.blobs.put(content), len(content)))
    return files


def _sign(workspace: Workspace, release: Digest, content: bytes) -> None:
    folder = MetadataFolder(update_metadata_folder(workspace))
    with folder.locked():
        signer = ensure_signer(workspace, AGENTS)
        before = signed_before(folder, AGENTS, signer)
        path = release_path(release)
        targets = {} if before is None else before.targets
        made = Metadata(
            Targets(
                version=1 if before is None else before.version + 1,
                expires=expiry(workspace.clock.now_ms(), Lifetimes().owner_days),
                targets={**targets, path: TargetFile.from_data(path, content)},
            )
        )
        made.sign(signer)
        folder.write(AGENTS, made)


def _counter(tx: Tx, device: str) -> int:
    return tx.scalar(select(_assigned.c.counter).where(_assigned.c.device == device)) or 0


def _put(tx: Tx, slot: Slot) -> None:
    assert slot.assignment is not None, "it was signed just now"
    tx.execute(delete(_assigned).where(_assigned.c.device == slot.device))
    tx.execute(
        insert(_assigned).values(
            device=slot.device,
            counter=slot.counter,
            number=slot.number,
            payload=slot.assignment.payload,
            key_id=slot.assignment.key_id,
            signature=slot.assignment.signature,
        )
    )
